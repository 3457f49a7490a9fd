"""A run that is killed again and again ends with what an undisturbed one ends with."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench._results import read_results
from featurestore import FeatureStore

TIMED = {"fit_seconds", "predict_seconds", "peak_memory_mb", "resumed"}


@pytest.mark.slow
def test_a_run_killed_at_many_moments_loses_nothing(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    models = ("mlp", "pca-svm", "linear-probe", "resnet")
    command = [sys.executable, "-m", "bench", "run", *models, "--store", str(sample_store.path)]

    def run(folder: str, seconds: float | None) -> bool:
        """Start it, kill it after some seconds, and return whether it had ended by itself."""
        whole = [*command, "--results", str(tmp_path / folder)]
        with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                _, said = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return False
            assert process.returncode == 0, said.decode()
            return True

    assert run("undisturbed", None)
    seconds, kills = 1.5, 0
    while not run("killed", seconds):
        kills += 1
        seconds *= 1.4
    assert kills >= 3
    whole, killed = (read_results(tmp_path / name) for name in ("undisturbed", "killed"))
    assert [run.model for run in whole.runs] == list(models)
    for one, other in zip(whole.runs, killed.runs, strict=True):
        assert one.model_dump(exclude=TIMED) == other.model_dump(exclude=TIMED)
        for name in ("predictions.parquet", "model.npz"):
            files = [
                tmp_path / f / "runs" / one.folder_name / name for f in ("undisturbed", "killed")
            ]
            assert files[0].read_bytes() == files[1].read_bytes()
    left = [p.name for p in (tmp_path / "killed" / "runs").rglob("*") if p.is_file()]
    assert set(left) == {"run.json", "predictions.parquet", "model.npz"}
