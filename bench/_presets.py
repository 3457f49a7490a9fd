"""Settings that were found and given a name, to be run like the presets that come with a model."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench._errors import BenchError
from bench._models import MODELS, STANDARD_PRESETS, get_model
from featurestore._files import write_durably

# As part of a run's variant and of a folder's name; "+" stands between the parts of a variant.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NOT_SEARCHED = ("random_state", "class_weight")  # a run's own affair


class Preset(BaseModel):
    """A model's settings under a name, as a file has them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    model: str
    settings: dict[str, Any] = Field(description="all of the constructor's but seed and weights")
    dev_accuracy: float = Field(ge=0, le=1, description="what they were chosen by")
    store_fingerprint: str
    trials: int = Field(ge=1, description="how many settings were tried, these among them")


def presets_folder(results: Path) -> Path:
    """Return where a folder of results keeps presets."""
    return results / "presets"


def check_name(name: str) -> None:
    """Check that a preset can be called that.

    Raises
    ------
    BenchError
    """
    if name in STANDARD_PRESETS:
        raise BenchError(f"{name!r} is a preset that comes with the models; give another name")
    if not NAME.fullmatch(name):
        raise BenchError(
            f"{name!r} can't be a preset's name: letters, digits, '.', '_' and '-' are, at most 64"
        )


def earlier_preset(results: Path, name: str, model: str) -> Preset | None:
    """Return the preset that one of a model with this name would replace, or None.

    Raises
    ------
    BenchError
        If it can't be called that, or is another model's or can't be read.
    """
    check_name(name)
    path = presets_folder(results) / f"{name}.json"
    if not path.exists():
        return None
    found = _read(path)
    if found.model != model:
        raise BenchError(f"{name} is a preset of {found.model}; give another name")
    return found


def save_preset(results: Path, name: str, preset: Preset) -> Path:
    """Write a preset, in place of an earlier one of its model and name, and return its path.

    Raises
    ------
    BenchError
        As ``earlier_preset``.
    """
    earlier_preset(results, name, preset.model)
    path = presets_folder(results) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, (preset.model_dump_json(indent=1) + "\n").encode())
    return path


def find_preset(results: Path, asked: str) -> tuple[str, Preset]:
    """Return the name and the content of a preset, by its name or its file.

    Raises
    ------
    BenchError
        If there is none, or it can't be read.
    """
    path = presets_folder(results) / f"{asked}.json"
    if not NAME.fullmatch(asked) or not path.is_file():
        if Path(asked).suffix != ".json":
            saved = sorted(p.stem for p in presets_folder(results).glob("*.json"))
            there = ", ".join((*STANDARD_PRESETS, *saved))
            raise BenchError(
                f"no preset is called {asked!r}; there are {there}. `bench tune MODEL --save NAME` "
                "makes one"
            )
        path = Path(asked)
    check_name(path.stem)
    return path.stem, _read(path)


def _read(path: Path) -> Preset:
    try:
        found = Preset.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BenchError(f"{path}: there is no such preset") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise BenchError(f"{path}: is no preset: {place}: {first['msg']}") from None
    if found.model not in MODELS:
        raise BenchError(f"{path}: is a preset of {found.model!r}, which is no model")
    entry = get_model(found.model)
    builder = getattr(importlib.import_module(entry.module), entry.builder)
    known = set(inspect.signature(builder).parameters) - set(NOT_SEARCHED)
    if unknown := sorted(set(found.settings) - known):
        raise BenchError(f"{path}: is no preset: {found.model} has no setting {unknown[0]!r}")
    return found
