"""The runs that a run folder keeps: what was trained, how far it came, and how good it was.

Every run has a folder of its own, `<runs>/<name>/<fingerprint>/`, with its events, its checkpoint and its report; in
`run.json` stands what the run is and how it ended. No Spark is needed to look at them.
"""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparknn_magic.errors import SparkNNError, UnknownName, did_you_mean
from sparknn_magic.settings import runs_folder
from sparknn_magic.training.events import LOG

RECORD = "run.json"
CHECKPOINT, REPORT = "checkpoint.safetensors", "report.html"
# The figure that stands for a model among others, by its name in the metrics.
HEADLINES = {"accuracy": "accuracy", "r2": "R2", "f1": "F1", "map50": "mAP at IoU 0.5"}
FINISHED, RUNNING, INTERRUPTED, FAILED = "finished", "running", "interrupted", "failed"


@dataclass(frozen=True)
class Run:
    """One run, as its folder tells it."""

    name: str  # of the model
    folder: Path
    started: float  # seconds since 1970, UTC
    state: str  # finished, running, interrupted or failed
    reason: str | None = None  # why it failed
    epoch: int = 0  # epochs that were finished
    epochs: int = 0  # epochs that were asked for
    seconds: float | None = None
    task: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)  # the whole experiment; {} where nothing was written of it
    best: tuple[str, float] | None = None  # the figure that stands for it: name and value
    measured_on: str | None = None  # the rows of that figure: test, validation or train
    model: Path | None = None  # the model's folder
    size_bytes: int | None = None  # of model.onnx
    checkpoint: bool = False  # running the same cell again goes on from one

    @property
    def key(self) -> str:
        """What tells it from other runs of the same name: `name/1a2b3c4d5e6f`."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    def __repr__(self) -> str:
        from sparknn_magic.show.runs import run_text

        return run_text(self)

    def _repr_html_(self) -> str:
        from sparknn_magic.show.runs import run_html

        return run_html(self)


@dataclass(frozen=True)
class Runs(Sequence[Run]):
    """The runs of a folder, the newest first. A notebook shows them as a table."""

    folder: Path
    runs: tuple[Run, ...]

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, place: Any) -> Any:
        return self.runs[place]

    def find(self, name: str) -> Run:
        """Return the newest run of a model's name, or the one of a key `name/1a2b3c` (its beginning will do).

        Raises: UnknownName.
        """
        wanted, _, start = name.partition("/")
        found = next((r for r in self.runs if r.name == wanted and r.folder.name.startswith(start)), None)
        if found is None:
            known = sorted({r.name for r in self.runs})
            message = f"there is no run named '{name}'.{did_you_mean(wanted, known)}"
            listed = f"Runs of: {', '.join(known[:12])}." if known else f"'{self.folder}' keeps none."
            raise UnknownName(message, hint=listed)
        return found

    def __repr__(self) -> str:
        from sparknn_magic.show.runs import runs_text

        return runs_text(self.folder, self.runs)

    def _repr_html_(self) -> str:
        from sparknn_magic.show.runs import runs_html

        return runs_html(self.folder, self.runs)


def runs(folder: str | Path | None = None) -> Runs:
    """Return the runs kept in a run folder (default: $SPARKNN_RUNS or ./sparknn_runs), the newest first."""
    root = runs_folder(folder)
    found = []
    for path in root.glob("*/*") if root.is_dir() else ():
        if path.parent.name != "prepared" and any((path / name).is_file() for name in (RECORD, LOG)):
            found.append(_read(path))
    return Runs(root, tuple(sorted(found, key=lambda run: run.started, reverse=True)))


@contextmanager
def recorded(folder: str | Path, **facts: Any) -> Iterator[dict[str, Any]]:
    """Keep in run.json what a run is and how it ends; what the block adds to the dict it gets is kept at the end."""
    begun = time.time()
    record = {"started": begun, "pid": os.getpid(), "host": platform.node(), **facts}
    told: dict[str, Any] = {}
    _write(Path(folder), {**record, "state": RUNNING})
    ended = {"state": FAILED}
    try:
        yield told
        ended = {"state": FINISHED}
    except SparkNNError as error:
        ended["reason"] = error.message
        raise
    except KeyboardInterrupt:
        ended = {"state": INTERRUPTED}
        raise
    except BaseException as error:
        ended["reason"] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise
    finally:
        _write(Path(folder), {**record, **ended, **told, "seconds": time.time() - begun})


def headline(metrics: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the figure that stands for a model among others: its name and value; None where there is none."""
    return next(((words, metrics[key]) for key, words in HEADLINES.items() if metrics.get(key) is not None), None)


def outcome(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what run.json says of a finished run, from its model's bundle.json."""
    return {
        "best": headline(meta["metrics"]),
        "measured_on": meta["evaluated_on"],
        "size_bytes": meta["size_bytes"],
        "epoch": meta["training"]["epochs"],
    }


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{RECORD}.{os.getpid()}"
    partial.write_text(json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    os.replace(partial, folder / RECORD)


def _read(folder: Path) -> Run:
    record = _record(folder)
    state = record.get("state") or (FINISHED if (folder / REPORT).is_file() else INTERRUPTED)
    if state == RUNNING and _gone(record):
        state = INTERRUPTED
    finished = state == FINISHED
    epochs = [] if finished and record else _epochs(folder)
    best = record.get("best")
    return Run(
        name=record.get("name") or folder.parent.name,
        folder=folder,
        started=record.get("started") or folder.stat().st_mtime,
        state=state,
        reason=record.get("reason"),
        epoch=record.get("epoch") or (epochs[-1]["epoch"] if epochs else 0),
        epochs=record.get("epochs") or (epochs[-1]["epochs"] if epochs else 0),
        seconds=record.get("seconds"),
        task=record.get("task"),
        spec=record.get("spec") or {},
        best=(best[0], best[1]) if best else _best(epochs),
        measured_on=record.get("measured_on") or ("validation" if epochs else None),
        model=Path(record["model"]) if record.get("model") else None,
        size_bytes=record.get("size_bytes"),
        checkpoint=(folder / CHECKPOINT).is_file(),
    )


def _record(folder: Path) -> dict[str, Any]:
    """Return run.json; {} of a run that has none. Raises: SparkNNError where it is damaged."""
    file = folder / RECORD
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"'{file}' is damaged: {error}."
        raise SparkNNError(message, hint="Remove it, and the run is known by its log.") from error
    return found if isinstance(found, dict) else {}


def _gone(record: Mapping[str, Any]) -> bool:
    """Return whether the process of a run that says it is running has ended, as far as can be seen from here."""
    if record.get("host") != platform.node():
        return False
    try:
        os.kill(int(record["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False


def _epochs(folder: Path) -> list[dict[str, Any]]:
    """Return the epochs that the log has of the last run, those of earlier attempts that it went on from among them."""
    file = folder / LOG
    if not file.is_file():
        return []
    found: dict[int, dict[str, Any]] = {}
    for line in file.read_bytes().splitlines():
        if not line.endswith(b"}"):  # half written
            continue
        event = json.loads(line)
        if event["event"] == "epoch":
            # A run that starts over begins at 1 again: what an earlier one had done counts no more.
            found = {n: e for n, e in found.items() if n < event["epoch"]}
            found[event["epoch"]] = event
    return [found[n] for n in sorted(found)]


def _best(epochs: Sequence[Mapping[str, Any]]) -> tuple[str, float] | None:
    """Return the validation figure of the best epoch so far."""
    if not epochs:
        return None
    last = epochs[-1]
    name, best = last.get("figure", "accuracy"), last.get("best_epoch")
    value = next((e.get(f"validation_{name}") for e in epochs if e["epoch"] == best), None)
    return (f"validation {name}", value) if value is not None else None
