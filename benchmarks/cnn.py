"""Training speed of ResNet-18 beside Keras' and PyTorch's, and what augmentation costs.

    python benchmarks/cnn.py
    python benchmarks/cnn.py --torch-python ~/torch/bin/python

The same pre-activation ResNet-18 (10 classes, 32 px), batch and optimizer, by turns, each in a
process of its own; steps after the first few are timed. Ours begins with bytes, augments and scales
them. Keras' `fit` and PyTorch have floats already and augment nothing. PyTorch has its fused Adam,
and NHWC or NCHW, whichever was faster.
"""

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import _table
import numpy as np

CASES = {"imagenet": (200, 10), "cifar": (128, 3)}  # stem: batch, steps timed
ROLES = ("ours", "plain", "keras", "torch", "torch-nhwc")
PEERS = {
    "torch": "PyTorch, fused Adam",
    "keras": "Keras fit",
    "plain": "itself without augmentation",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", type=Path, help="a Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="keep the comparison in a file")
    parser.add_argument("--as", dest="role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--stem", choices=tuple(CASES), help="only this one")
    arguments = parser.parse_args()
    if arguments.role:
        speed = keras_speed if arguments.role == "keras" else our_speed
        run = torch_speed if arguments.role.startswith("torch") else speed
        print(run(arguments.stem, arguments.role))
        return
    stems = [arguments.stem] if arguments.stem else list(CASES)
    rows = [row for stem in stems for row in compare(stem, arguments)]
    _table.report(rows, arguments.json)


def compare(stem: str, arguments: argparse.Namespace) -> list[_table.Row]:
    pythons: dict[str, Path] = {
        role: arguments.torch_python if role.startswith("torch") else Path(sys.executable)
        for role in ROLES
        if arguments.torch_python or not role.startswith("torch")
    }
    programs = {role: partial(in_process, python, role, stem) for role, python in pythons.items()}
    speeds = _table.by_turns(programs, "ours", arguments.rounds)
    kernel = {"imagenet": "7x7", "cifar": "3x3"}[stem]
    title = f"training ResNet-18, {kernel} stem, batch {CASES[stem][0]}"
    if "torch" in speeds:
        speeds["torch"] = best(speeds["torch"], speeds["torch-nhwc"])
    return _table.against(title, speeds, "ours", PEERS, "images/s")


def in_process(python: Path, role: str, stem: str) -> float:
    command = [python, __file__, "--as", role, "--stem", stem]
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(output.stdout.split()[-1])


def best(one: _table.Figures, other: _table.Figures) -> _table.Figures:
    """Return the better figure of each round; or why one of the two has none."""
    if isinstance(one, str):
        return one
    if isinstance(other, str):
        return other
    return [max(pair) for pair in zip(one, other, strict=True)]


def timed(step: Any, finish: Any, stem: str) -> float:
    batch, steps = CASES[stem]
    for _ in range(3):
        step()
    finish()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    finish()
    return batch * steps / (time.perf_counter() - start)


def our_speed(stem: str, role: str) -> float:
    """Images a second of the training loop's own step; "plain" without augmentation, one batch."""
    from featurestore._tensorflow import load_tensorflow

    tf = load_tensorflow()
    from cnn import ResNet
    from cnn._images import Batches
    from cnn._optimizer import Adam
    from cnn._recipe import Recipe
    from cnn._training import _Steps

    augment = {"flip": role == "ours", "shift": 4 if role == "ours" else 0}
    model = ResNet(
        stem=stem, optimizer="adam", l2=0.0, averaging=0.0, label_smoothing=0.0, **augment
    )
    model.classes_, model.image_shape_ = np.arange(10), (32, 32, 3)
    model.mean_, model.scale_ = np.full(3, 127, np.float32), np.full(3, 64, np.float32)
    network = model._network()
    batch, _ = CASES[stem]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10 * batch, 32, 32, 3), dtype=np.uint8)
    shares = np.eye(10, dtype=np.float32)[rng.integers(0, 10, len(images))]
    weights = np.ones(len(images), np.float32)
    step_of = _Steps(network, Recipe.of(model), Adam(network.trainable), [])
    scales = [1.0] * len(network.trainable)
    batches = Batches(images, batch, 0)
    first = tf.constant(images[:batch])

    def forever() -> Any:
        for epoch in range(10**6):
            if role == "ours":
                yield from batches.epoch(epoch)
            else:
                yield first, slice(batch)

    feed = forever()
    last: list[Any] = []

    def step() -> None:
        pixels, rows = next(feed)
        last[:] = step_of(len(last), pixels, shares[rows], weights[rows], 1e-3, scales)

    return timed(step, lambda: float(last[0]), stem)


def keras_speed(stem: str, role: str) -> float:
    """Images a second of `fit`, in its second epoch."""
    from featurestore._tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    layers = keras.layers
    batch, steps = CASES[stem]
    ends: list[float] = []

    class Ends(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ends.append(time.perf_counter())

    def conv(x: Any, filters: int, size: int, stride: int = 1) -> Any:
        return layers.Conv2D(filters, size, stride, "same", use_bias=False)(x)

    def norm(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(x))

    image = keras.Input((32, 32, 3))
    x = norm(conv(image, 64, 7, 2) if stem == "imagenet" else conv(image, 64, 3))
    if stem == "imagenet":
        x = layers.MaxPooling2D(3, 2, "same")(x)
    for stage in range(4):
        for block in range(2):
            filters, stride = 64 * 2**stage, 2 if stage and not block else 1
            before = norm(x) if stage or block else x
            y = conv(norm(conv(before, filters, 3, stride)), filters, 3)
            changed = stride != 1 or x.shape[-1] != filters
            x = layers.Add()([y, conv(before, filters, 1, stride) if changed else x])
    x = layers.Dense(10)(layers.GlobalAveragePooling2D()(norm(x)))
    network = keras.Model(image, x)
    network.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch * steps, 32, 32, 3), np.float32)
    labels = rng.integers(0, 10, len(images))
    network.fit(images, labels, batch, epochs=2, verbose=0, callbacks=[Ends()])
    return len(images) / (ends[1] - ends[0])


def torch_speed(stem: str, role: str) -> float:
    import torch
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, before: int, after: int, stride: int, first: bool) -> None:
            super().__init__()
            self.norm = nn.Identity() if first else nn.BatchNorm2d(before)
            self.one = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.middle = nn.BatchNorm2d(after)
            self.two = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            changed = stride != 1 or before != after
            self.beside = nn.Conv2d(before, after, 1, stride, bias=False) if changed else None

        def forward(self, x: Any) -> Any:
            h = torch.relu(self.norm(x))
            beside = self.beside(h) if self.beside is not None else x
            return beside + self.two(torch.relu(self.middle(self.one(h))))

    if stem == "imagenet":
        layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        layers += [nn.MaxPool2d(3, 2, 1)]
    else:
        layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    before = 64
    for stage in range(4):
        for block in range(2):
            after = 64 * 2**stage
            stride = 2 if stage and not block else 1
            layers.append(Block(before, after, stride, not stage and not block))
            before = after
    layers += [nn.BatchNorm2d(512), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(512, 10))
    batch, _ = CASES[stem]
    x = torch.randn(batch, 3, 32, 32)
    if role == "torch-nhwc":
        network, x = (t.to(memory_format=torch.channels_last) for t in (network, x))
    y = torch.randint(0, 10, (batch,))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()

    return timed(step, lambda: None, stem)


if __name__ == "__main__":
    main()
