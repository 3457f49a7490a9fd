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
    serializers = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml", "torch"}
    assert not serializers & set(imported(module))


# Called by these names, whatever of: what they read may be a program.
RUN_CODE = {"eval", "exec", "__import__", "read_pickle", "to_pickle", "unsafe_load", "full_load"}
MAY_UNPICKLE = {"load", "read_array", "save", "write_array"}  # NumPy's; told not to


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield what is called: on what, by what name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield "", node.func.id, node
            elif isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node


def what_may_run_code(source: str) -> list[str]:
    """Return the calls in a module that may run what a file holds."""
    found = []
    for on, name, call in calls(ast.parse(source)):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        allowed = options.get("allow_pickle")
        numpys = on in ("np", "numpy") or on.endswith("lib.format")
        never = numpys and name in MAY_UNPICKLE and allowed != "False"
        if name in RUN_CODE or never or allowed == "True" or "safe_mode" in options:
            found.append(ast.unparse(call))
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_calls_nothing_that_runs_code_from_files(module: Path) -> None:
    assert not what_may_run_code(module.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "may"),
    [
        ("np.load(file)", True),
        ("np.load(file, allow_pickle=True)", True),
        ("np.load(file, allow_pickle=False)", False),
        ("np.lib.format.read_array(file)", True),
        ("np.savez(file, allow_pickle=True)", True),
        ("pd.read_pickle(path)", True),
        ("yaml.unsafe_load(text)", True),
        ("keras.saving.load_model(path, safe_mode=False)", True),
        ("eval(text)", True),
        ("json.loads(text)", False),
    ],
)
def test_calls_that_may_run_code_are_told_from_others(source: str, may: bool) -> None:
    assert bool(what_may_run_code(source)) is may


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
