"""The parts of an extraction, as a worker does them."""

import threading
import time

import pytest

from featurestore import ExtractSettings
from featurestore._job import BackboneJob
from featurestore._tasks import _engine


def test_two_threads_of_a_worker_share_one_engine(
    settings: ExtractSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    def make_engine(self: BackboneJob, workers: int) -> object:
        time.sleep(0.1)
        made.append(object())
        return made[-1]

    monkeypatch.setattr(BackboneJob, "make_engine", make_engine)
    monkeypatch.setattr("featurestore._tasks._engines", {})
    job = BackboneJob.prepare(settings)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(_engine(job))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 2
