"""Progress of fits: a bar on a terminal, a line now and then elsewhere."""

import pytest

from bench import _progress
from bench._progress import fit_progress


def test_short_fits_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with fit_progress("mlp") as step:
        for done in range(5):
            step(done, 5, "epoch")
    assert capsys.readouterr().err == ""


def test_where_there_is_no_terminal_a_line_tells_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now)
    with fit_progress("resnet") as step:
        for done in range(10):
            now += 45
            step(done, 10, f"epoch {done}, 500 images/s")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "resnet: epoch 1, 500 images/s; about 14 min left"
    assert lines[-1] == "resnet: epoch 9, 500 images/s; about 1 min left"
