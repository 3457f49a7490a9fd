"""Progress of fits: a bar on a terminal, a line now and then elsewhere."""

import pytest

from bench import _progress
from bench._progress import extraction_progress, fit_progress


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
    assert lines[0] == "resnet: epoch 1, 500 images/s; about 7 min left"
    assert lines[-1] == "resnet: epoch 9, 500 images/s; about 1 min left"


def test_the_time_left_does_not_count_what_went_before_the_first_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now)
    with fit_progress("fractalnet") as step:
        now += 600  # compiling
        for done in range(1, 4):
            step(done, 10, "epoch")
            now += 60
    assert capsys.readouterr().err.splitlines() == [
        "fractalnet: epoch; just begun",
        "fractalnet: epoch; about 8 min left",
        "fractalnet: epoch; about 7 min left",
    ]


def test_an_extraction_without_a_terminal_tells_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now)
    with extraction_progress() as progress:
        progress.begin(1000, 100)
        for number in range(4):
            progress.step("" if number else "gone")
            now += 59
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "going on: 100 of 1,000 records were done before",
        "extracting: 103 of 1,000 records, failed 1 (gone 1); about 882 min left",
    ]
