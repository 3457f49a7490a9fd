"""Embed JPEG files as clip-retrieval does: a DataLoader whose workers decode, PyTorch in batches.

    TORCH_PYTHON benchmarks/_torch_embed.py FOLDER

Needs PyTorch and Pillow alone. The network is MobileNet, alpha 1.0, in shape; its weights are
random, which costs the same. Prints the seconds of one pass over the files, after a shorter one.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

SIDE, BATCH = 224, 32
# Channels and stride of each depthwise separable block (Howard et al. 2017, table 1).
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
BLOCKS += [(1024, 2), (1024, 1)]


class Files(Dataset[Any]):
    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Any:
        with Image.open(self.paths[number]) as image:
            image.draft("RGB", (SIDE, SIDE))
            pixels = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        values = torch.from_numpy(np.array(pixels, np.float32)).permute(2, 0, 1)
        return values / 127.5 - 1


def mobilenet() -> nn.Module:
    def unit(before: int, after: int, size: int, stride: int, groups: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(after), nn.ReLU6(inplace=True)]

    layers, before = unit(3, 32, 3, 2), 32
    for after, stride in BLOCKS:
        layers += unit(before, before, 3, stride, before) + unit(before, after, 1, 1)
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def embed(network: nn.Module, paths: list[Path]) -> float:
    start = time.perf_counter()
    loader = DataLoader(Files(paths), BATCH, num_workers=os.cpu_count() or 1)
    embeddings = []
    with torch.inference_mode():
        for pixels in loader:
            embeddings.append(network(pixels.contiguous(memory_format=torch.channels_last)))
    assert torch.cat(embeddings).shape == (len(paths), 1024)
    return time.perf_counter() - start


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    paths = sorted(Path(sys.argv[1]).rglob("*.jpg"))
    network = mobilenet().eval().to(memory_format=torch.channels_last)
    embed(network, paths[:64])
    print(embed(network, paths))


if __name__ == "__main__":
    main()
