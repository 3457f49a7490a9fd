"""Options that several commands share."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import main


@pytest.mark.parametrize(
    "command",
    [
        ["run", "mlp", "--results", "s3://bucket/results"],
        ["tune", "mlp", "--results", "s3://bucket/results"],
        ["report", "s3://bucket/results"],
        ["cite", "s3://bucket/results"],
        ["export", "--to", "h5", "--out", "s3://bucket/features.h5"],
        ["extract", "sample", "--keep-originals", "s3://bucket/originals"],
    ],
)
def test_only_a_store_may_be_at_a_url(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "give a path on the disk; only a store may be at a URL" in result.stderr
    assert list(tmp_path.iterdir()) == []
