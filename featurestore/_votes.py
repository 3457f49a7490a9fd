"""Votes: which emotion an image is kept for, and how strong each of them is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class KeepRule:
    """When the people asked agree enough that an image shows an emotion.

    Attributes
    ----------
    rule : {"majority", "all"}
        "majority" keeps an emotion with agree > disagree, as You et al. 2016 did; "all" keeps
        every emotion somebody was asked about.
    min_agree : int
        The fewest agreeing votes; some users of FI ask for 3.
    """

    rule: Literal["majority", "all"] = "majority"
    min_agree: int = 0

    def label(self, agree: Sequence[int], disagree: Sequence[int]) -> int:
        """Return the id of the kept emotion with the largest agree - disagree, or -1.

        Ties go to more agreeing votes, then to the lower id.
        """
        best, label = (0, 0), -1
        for i, (yes, no) in enumerate(zip(agree, disagree, strict=True)):
            if yes + no == 0 or yes < self.min_agree or (self.rule == "majority" and yes <= no):
                continue
            if label < 0 or (yes - no, yes) > best:
                best, label = (yes - no, yes), i
        return label


def strength(
    agree: npt.NDArray[np.int64], disagree: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the share of people who agree, ``agree / (agree + disagree)``; 0 where none was asked.

    Parameters
    ----------
    agree, disagree : int64 (n, labels)

    Returns
    -------
    float32 (n, labels), each within 0..1. Rows needn't add up to 1: an image may evoke two.
    """
    asked = agree + disagree
    share: npt.NDArray[np.float32] = (agree / np.maximum(asked, 1)).astype(np.float32)
    return share
