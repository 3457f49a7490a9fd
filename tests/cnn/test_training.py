"""The training loop: it goes on after a stop as if there had been none, and ends well."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_networks import data, tiny

from cnn import FractalNet, TrainingDivergedError, _checkpoint, _images
from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()

import keras  # noqa: E402

from cnn._layers import Step  # noqa: E402
from cnn._training import Network  # noqa: E402


def weights(model: FractalNet) -> list[bytes]:
    return [w.tobytes() for w in model.weights_]


class Traced(keras.Model):  # type: ignore[misc]
    """A linear model that counts how often it is called, which a compiled call is not."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self._classify = keras.layers.Dense(3)

    def call(self, x: Any, training: bool = False, path: int = 1) -> Any:
        self.calls += 1
        return path * self._classify(tf.reshape(x, (-1, 8 * 8 * 3)))


def test_evaluation_is_compiled_once_for_each_path_of_a_network() -> None:
    model = Traced()
    model(tf.zeros((1, 8, 8, 3)))
    network = Network(model, Step(0), np.float32(128), np.float32(64))
    X = np.random.default_rng(0).integers(0, 256, (430, 8, 8, 3), dtype=np.uint8)
    built = model.calls
    straight = network.probabilities(X)  # batches of 200 and of 30
    assert straight.shape == (430, 3)
    np.testing.assert_allclose(straight.sum(axis=1), 1, rtol=1e-5)
    turned = network.probabilities(X[:, :, ::-1])
    mirrored = network.probabilities(X, mirror=True)
    assert np.abs(straight - turned).max() > 0.01
    np.testing.assert_array_equal(mirrored, (straight + turned) / 2)
    np.testing.assert_allclose(network.probabilities(X[:7]), straight[:7], atol=1e-6)
    assert model.calls == built + 1
    sharper = network.probabilities(X, path=2)
    assert (sharper.max(axis=1) >= straight.max(axis=1)).all()
    assert model.calls == built + 2


class StoppedError(Exception):
    """What stands in for somebody who stops the program."""


def stop_after(steps: int) -> Any:
    def progress(done: int, total: int, text: str) -> None:
        if done >= steps:
            raise StoppedError

    return progress


@pytest.mark.parametrize(
    "changed",
    [
        {},
        pytest.param({"patience": 2, "optimizer": "adam", "mixup": 0.2}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_training_goes_on_from_a_checkpoint_to_the_same_weights(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    path = tmp_path / "run.checkpoint.npz"
    dev = data(30, seed=1)
    expected = tiny(**changed).fit(*data(), *dev)
    with pytest.raises(StoppedError):
        tiny(**changed).fit(*data(), *dev, checkpoint=path, progress=stop_after(13))
    assert path.exists()
    steps: list[int] = []
    found = tiny(**changed).fit(
        *data(), *dev, checkpoint=path, progress=lambda done, total, text: steps.append(done)
    )
    assert min(steps) > 12  # what was done was not done again
    assert weights(found) == weights(expected)
    assert found.history_ == expected.history_


def steps_of(model: FractalNet, given: Any, checkpoint: Path) -> list[int]:
    """Return the steps that fitting told of: none if the checkpoint had all of them."""
    steps: list[int] = []
    model.fit(*given, checkpoint=checkpoint, progress=lambda done, *_: steps.append(done))
    return steps


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_or_data_is_none(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint.npz"
    (X, y), (X_dev, y_dev) = data(), data(30, seed=1)
    other, other_dev = X.copy(), X_dev.copy()
    other[100] = other_dev[20] = 0
    given = (X, y, X_dev, y_dev)
    others = (
        (tiny(epochs=2), given),
        (tiny(epochs=1), (*data(100), X_dev, y_dev)),
        (tiny(epochs=1), (other, y, X_dev, y_dev)),
        (tiny(epochs=1), (X, y)),
        (tiny(epochs=1), (X, y, other_dev, y_dev)),
        (tiny(epochs=1), (X, y, X_dev, np.roll(y_dev, 1))),
    )
    tiny(epochs=1).fit(*given, checkpoint=path)
    assert steps_of(tiny(epochs=1), given, path) == []
    kept = path.read_bytes()
    for model, changed in others:
        path.write_bytes(kept)
        assert min(steps_of(model, changed, path)) <= 6


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nonsense"])
def test_a_damaged_checkpoint_is_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(damage)
    assert _checkpoint.load(path, {}) is None
    assert _checkpoint.load(tmp_path / "none.npz", {}) is None
    _checkpoint.save(path, {"a": (1, 2)}, {"epoch": 3}, [np.arange(4)])
    state, arrays = _checkpoint.load(path, {"a": (1, 2)}) or ({}, [])
    assert state == {"epoch": 3}
    assert arrays[0].tolist() == [0, 1, 2, 3]


@pytest.mark.slow
def test_streamed_images_train_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_images, "RESIDENT_BYTES", 20_000)
    X, y = data(300)
    assert X.nbytes > 10 * 20_000
    model = tiny(epochs=12).fit(X, y, *data(60, seed=1))
    assert model.score(*data(60, seed=2)) > 0.8


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_training() -> None:
    with pytest.raises(TrainingDivergedError, match=r"loss is (nan|inf) in epoch .*learning_rate"):
        tiny(learning_rate=1e9, warmup=0.0, optimizer="sgd", epochs=6).fit(*data())


@pytest.mark.slow
def test_the_best_epoch_on_dev_is_kept_and_training_stops() -> None:
    rng = np.random.default_rng(0)
    X, y = data()
    noise = rng.permutation(y)
    X_dev, y_dev = data(60, seed=1)
    model = tiny(epochs=30, patience=3, mirror=False).fit(X, noise, X_dev, y_dev)
    curve = model.history_["dev_accuracy"]
    assert model.n_iter_ == len(curve) < 30
    assert model.score(X_dev, y_dev) == pytest.approx(max(curve), abs=1e-6)


@pytest.mark.slow
def test_training_that_ended_early_is_not_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint.npz"
    dev = data(60, seed=1)
    rng = np.random.default_rng(0)
    X, y = data()
    noise = rng.permutation(y)
    expected = tiny(epochs=30, patience=2).fit(X, noise, *dev, checkpoint=path)
    assert expected.n_iter_ < 30
    steps: list[int] = []
    found = tiny(epochs=30, patience=2).fit(
        X, noise, *dev, checkpoint=path, progress=lambda done, total, text: steps.append(done)
    )
    assert steps == []
    assert weights(found) == weights(expected)


@pytest.mark.slow
def test_plateaus_lower_the_rate() -> None:
    rng = np.random.default_rng(0)
    X, y = data(60)
    model = tiny(epochs=25, schedule="plateau", warmup=0.0, learning_rate=0.02)
    model.fit(X, rng.permutation(y), X, rng.permutation(y))
    rates = np.array(model.history_["learning_rate"])
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] < 0.0021
    assert (np.diff(rates) <= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"clip": 0.5}, {"cutout": 4}, {"class_weight": "balanced"}])
def test_other_settings_learn_too(changed: dict[str, Any]) -> None:
    assert tiny(epochs=12, **changed).fit(*data(240)).score(*data(60, seed=2)) > 0.8


@pytest.mark.slow
def test_progress_tells_loss_speed_and_accuracy() -> None:
    told: list[str] = []
    tiny().fit(*data(), *data(30, seed=1), progress=lambda done, total, text: told.append(text))
    assert any("loss" in text and "images/s" in text for text in told)
    assert "dev" in told[-1]


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL at moments of its own choosing, until it ends undisturbed."""
    script = tmp_path / "fit.py"
    script.write_text(
        "import sys; from pathlib import Path\n"
        "from tiny_networks import data, tiny\n"
        "out = Path(sys.argv[1])\n"
        "model = tiny(epochs=12).fit(*data(600), *data(30, seed=1), checkpoint=out / 'c.npz')\n"
        "model.save(out / 'model.npz')\n"
    )
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def run(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, script, tmp_path / name], env=environment)

    assert run("calm").wait() == 0
    kills = 0
    for epochs in (1, 4, 8):
        process = run("killed")
        while process.poll() is None:
            found = _done(tmp_path / "killed" / "c.npz")
            if found >= epochs:
                time.sleep(0.05 * kills)
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                break
            time.sleep(0.02)
    assert kills == 3
    assert run("killed").wait() == 0
    ends = [(tmp_path / name / "model.npz").read_bytes() for name in ("calm", "killed")]
    assert ends[0] == ends[1]


def _done(path: Path) -> int:
    """Return how many epochs a checkpoint holds."""
    import json

    try:
        with np.load(path) as file:
            return int(json.loads(str(file["text"]))["state"]["epoch"])
    except FileNotFoundError:
        return 0
