"""What a project sets for all its cells: `[tool.sparknn]` in the nearest pyproject.toml, `%config SparkNNMagics...`.

    [tool.sparknn]
    runs = "/data/runs"        # folder of prepared data, checkpoints and reports; $SPARKNN_RUNS goes before
    models = "/data/models"    # folder of the models that name no other
    [tool.sparknn.train]       # what a cell's `train:` has where it says nothing
    workers = 2

What a cell says goes before all of it. Standard library only.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparknn_magic.errors import SpecError, did_you_mean

RUNS, MODELS = "sparknn_runs", "models"
_chosen: dict[str, Any] = {}  # in this process, by `choose`


@dataclass(frozen=True)
class Settings:
    """A project's settings; folders are as they are written, relative ones to the pyproject.toml that names them."""

    runs: str = RUNS
    models: str = MODELS
    train: Mapping[str, Any] = field(default_factory=dict)


KEYS = ("runs", "models", "train")


def settings(start: str | Path | None = None) -> Settings:
    """Return what holds in a folder (default: the current one).

    Raises: SpecError where pyproject.toml cannot be read, or has a key that there is not.
    """
    return replace(Settings(), **(_of_project(Path(start or ".").absolute()) | _chosen))


def choose(**values: Any) -> None:
    """Set some of the settings for this process; None takes what was set before back. Raises: SpecError."""
    for key, value in values.items():
        if value is None:
            _chosen.pop(key, None)
        else:
            _chosen.update(_checked({key: value}, "settings"))


def runs_folder(given: str | Path | None = None) -> Path:
    """Return the folder of prepared data, checkpoints and reports: the one given, $SPARKNN_RUNS, or the settings'."""
    return Path(given or os.environ.get("SPARKNN_RUNS") or settings().runs).absolute()


def models_folder() -> Path:
    """Return the folder of the models that name no other."""
    return Path(settings().models)


def _of_project(folder: Path) -> dict[str, Any]:
    for parent in (folder, *folder.parents):
        file = parent / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("sparknn")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SpecError(f"'{file}' cannot be read: {error}.") from error
        if table is not None:
            found = _checked(table, f"{file}: [tool.sparknn]")
            return found | {key: str(parent / found[key]) for key in ("runs", "models") if key in found}
    return {}


def _checked(table: Any, where: str) -> dict[str, Any]:
    kinds = {"runs": str, "models": str, "train": Mapping}
    if not isinstance(table, Mapping):
        raise SpecError(f"{where} is no table of settings.", hint=f"Known: {', '.join(KEYS)}.")
    for key, value in table.items():
        if key not in kinds:
            hint = f"Known: {', '.join(KEYS)}."
            raise SpecError(f"{where} has no key '{key}'.{did_you_mean(key, KEYS)}", hint=hint)
        if not isinstance(value, kinds[key]) or value == "":
            what = "a table, as a cell's `train:`" if key == "train" else "a folder"
            raise SpecError(f"{where}: {key} is {what}, not {value!r}.")
    return dict(table)
