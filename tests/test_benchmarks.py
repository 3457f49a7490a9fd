"""Benchmarks can be asked for help without their peers, and documents show what was measured."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("_"))
# What a benchmark compares with, and no more than that: its help needs none of them.
OPTIONAL = ("torch", "img2dataset", "dask", "distributed", "atheris", "obstore")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports a benchmark; they find each other by their folder."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(FOLDER)])
    # Whatever is imported from there goes again: the names are those of packages, or too common.
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_needs_no_peer(script: Path, tmp_path: Path) -> None:
    refuse = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
"""
    (tmp_path / "sitecustomize.py").write_text(refuse)
    run = subprocess.run(
        [sys.executable, script, "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode == 0, run.stderr
    assert "usage" in run.stdout.lower()


@pytest.mark.parametrize(
    ("script", "kept", "document"),
    [("all", "benchmarks.json", "benchmarks.md"), ("growth", "growth.json", "scaling.md")],
)
def test_documents_show_what_was_measured(script: str, kept: str, document: str, load: Any) -> None:
    module = load(script)
    measured = json.loads((ROOT / "docs" / kept).read_bytes())
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    shown = sys.modules["_table"].marked(text, f"{script}.py")
    assert shown == module.in_words(measured) + "\n"


def test_a_ratio_above_one_is_better_whatever_the_unit(load: Any) -> None:
    table = load("_table")
    speed = table.compare("a", "b", [20.0, 30.0, 10.0], [10.0, 10.0, 10.0], "images/s")
    assert (speed["ours"], speed["ratio"], speed["spread"]) == (20.0, 2.0, [1.0, 3.0])
    seconds = table.compare("a", "b", [2.0], [5.0], "s", less=True)
    assert seconds["ratio"] == 2.5


def test_what_was_not_measured_says_why(load: Any) -> None:
    table = load("_table")
    rows = [table.missing("a", "torch", "not installed"), table.alone("b", [1.0, 3.0], "s")]
    assert table.show(rows).splitlines()[2:] == [
        "| a | torch |  |  | not installed |",
        "| b |  | 2.00 s (1.00 .. 3.00) |  |  |",
    ]


def test_a_part_that_fails_is_a_row_and_stops_no_other(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("all")
    for name, code in {"bad": "raise SystemExit('no such | peer')", "good": GOOD}.items():
        (tmp_path / f"{name}.py").write_text(code)
    parts = tuple(module.Part(name, f"{name}.py", (), "") for name in ("bad", "good"))
    monkeypatch.setattr(module._table, "HERE", tmp_path)
    monkeypatch.setattr(module, "PARTS", parts)
    monkeypatch.setattr(module, "KEPT", tmp_path / "kept.json")
    document = tmp_path / "document.md"
    document.write_text("before\n<!-- made by benchmarks/all.py -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(module, "DOCUMENT", document)
    monkeypatch.setattr(sys, "argv", ["all.py", "--out", str(tmp_path / "out")])
    module.main()
    module.main()
    bad, good = json.loads((tmp_path / "kept.json").read_bytes())["parts"]
    assert bad["rows"][0]["reason"] == "no such / peer"
    assert good["rows"][0]["ours"] == 1  # the second time it was not run again
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "| ran |" in text


GOOD = """
import json, pathlib, sys
count = pathlib.Path(__file__).with_name("count")
runs = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(runs))
row = {"what": "ran", "peer": "", "ours": runs, "theirs": None, "ratio": None, "spread": None}
row["unit"] = "runs"
pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps([row]))
"""


def test_arguments_that_were_not_given_are_left_out(load: Any) -> None:
    module = load("all")
    arguments = ("--rounds", "3", "--images", "{images}", "--count", "5")
    part = module.Part("Reading", "x.py", arguments, "")
    assert module.filled(part, {"images": None}) == ["--rounds", "3", "--count", "5"]
    assert "photos" in module.filled(part, {"images": Path("photos")})
    assert module.told(part) == "python benchmarks/x.py --rounds 3 --images IMAGES --count 5"


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_is_that_of_the_power_law(power: float, load: Any) -> None:
    growth = load("growth")
    found = {str(n): {"seconds": 3 * n**power} for n in (1000, 10_000, 100_000)}
    assert growth.exponent(found, "seconds") == pytest.approx(power)
    assert growth.exponent({"1000": {"reason": "none"}}, "seconds") is None


@pytest.mark.slow
def test_made_rows_depend_on_their_number_alone(load: Any) -> None:
    import numpy as np

    data = load("_growth_data")
    few, many = (np.concatenate(list(data.image_blocks(n))) for n in (5, 5000))
    assert few.shape == (5, 32, 32, 3)
    assert len(many) == 5000
    np.testing.assert_array_equal(few, many[:5])
    (X, y), (X_many, _) = data.embeddings(5), data.embeddings(5000)
    np.testing.assert_array_equal(X, X_many[:5])
    assert (X > 0).all()
    assert y.max() < data.CLASSES
