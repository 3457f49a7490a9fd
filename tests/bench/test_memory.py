"""Peak memory: what was taken and given back counts; what came before doesn't."""

import time

import numpy as np

from bench._memory import SAMPLE_SECONDS, PeakMemory, peak_memory


def test_memory_that_was_given_back_counts() -> None:
    before = PeakMemory().megabytes
    with peak_memory() as peak:
        held = np.ones(25_000_000)  # 200 MB
        time.sleep(4 * SAMPLE_SECONDS)
        del held
    assert before + 150 < peak.megabytes < before + 400
    with peak_memory() as after:
        pass
    assert after.megabytes < before + 100
