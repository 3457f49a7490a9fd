"""The packages depend on each other in one direction, and help costs nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli import main

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "featurestore": set(),
    "classifiers": {"featurestore"},
    "cnn": {"featurestore"},
    "bench": {"featurestore", "classifiers", "cnn"},
}
COMMANDS = sorted(main.commands)
MODULES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(module: Path) -> Iterator[str]:
    """Yield the top-level name of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            yield node.module.partition(".")[0]


def test_all_packages_were_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == MAY_IMPORT.keys()
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_no_package_above_its_own(module: Path) -> None:
    package = module.relative_to(ROOT).parts[0]
    ours = MAY_IMPORT.keys() & set(imported(module))
    assert ours <= {package} | MAY_IMPORT[package]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_nothing_that_runs_code_from_files(module: Path) -> None:
    assert not {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & set(
        imported(module)
    )


@pytest.mark.parametrize(
    "command", ["", "extract", "run", "report", "compare", "inspect", "verify"]
)
def test_help_imports_nothing_heavy(command: str) -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bench", *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {
        *("tensorflow", "keras", "lightgbm", "sklearn", "zarr", "matplotlib", "numpy", "scipy"),
        *("pydantic", "pyarrow", "statsmodels", "jinja2", "pandas"),
        *("PIL", "requests", "featurestore", "classifiers"),
    }


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("featurestore", ("tensorflow", "keras", "ai_edge_litert", "sklearn", "matplotlib")),
        ("classifiers", ("tensorflow", "keras", "lightgbm", "matplotlib")),
        ("cnn", ("tensorflow", "keras", "lightgbm", "matplotlib")),
    ],
)
def test_importing_a_package_loads_no_deep_learning_library(
    package: str, heavy: tuple[str, ...]
) -> None:
    code = f"import sys, {package}; print(*(n for n in {heavy} if n in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
