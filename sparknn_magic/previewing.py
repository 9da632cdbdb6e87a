"""Look at an experiment's rows before training: one report, which Spark computes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.data.preview.findings import Broken, ColumnLook, Copies, Counted, Findings, Grid, Spread
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import Part
from sparknn_magic.sessions import adopt, session
from sparknn_magic.spec.experiment import NO_MODEL, Experiment
from sparknn_magic.spec.models import Step
from sparknn_magic.spec.resolve import Resolved, resolve, resolve_rows
from sparknn_magic.spec.values import frame_names

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import SparkSession

__all__ = ["Broken", "ColumnLook", "Copies", "Counted", "Findings", "Grid", "Preview", "Spread", "preview"]

ROUNDS = 2  # of random changes that are shown


@dataclass(frozen=True)
class Preview:
    """What rows are before training. A notebook shows it as a report; `findings` has the figures."""

    task: str
    source: str  # of the training rows, as the cell writes it
    findings: Findings

    def __repr__(self) -> str:
        from sparknn_magic.show.preview import preview_text

        return preview_text(self.task, self.source, self.findings)

    def _repr_html_(self) -> str:
        from sparknn_magic.show.preview import preview_html

        return preview_html(self.task, self.source, self.findings)

    def save(self, path: str | Path) -> Path:
        """Write the report as one HTML file, which loads nothing. Returns its path."""
        from sparknn_magic.show.page import write_page

        return write_page(path, self._repr_html_(), "preview")


def preview(
    spec: Any,
    *,
    spark: "SparkSession | None" = None,
    rows: int | None = None,
    name: str | None = None,
    overrides: Iterable[str] = (),
    variables: Mapping[str, Any] | None = None,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
) -> Preview:
    """Return what the rows of an experiment are: classes, sizes, copies, broken rows, columns, and a few of them.

    `spec` is what `train` takes; `task` and `data` are enough, `preprocess` and `augment` are shown at work. `rows` is
    how many rows are looked at where there are more, a sample drawn by a hash; classes are counted over all. Nothing
    but counts and the rows that are shown comes to the driver. `on_event` hears what is being done:
    {"event": "look", "doing": "counting rows and classes"}, and {"event": "look", "state": "failed"} where that fails.
    Raises: SparkNNError of one or two lines.
    """
    if isinstance(spec, Experiment) and name is None and not overrides:
        experiment = spec
    else:
        asked: dict[str, Any] = {"name": name, "overrides": overrides, "variables": variables}
        experiment = Experiment.load(spec, rows_only=True, **asked)
    resolved = resolve_preview(experiment)
    spark = adopt(spark) if spark is not None else session()
    tell = on_event or (lambda event: None)
    try:
        found = _found(experiment, resolved, spark, rows, frame_names(variables), tell)
    except Exception:
        tell({"event": "look", "state": "failed"})
        raise
    return Preview(experiment.task, str(experiment.data.train.value), found)


def _found(
    experiment: Experiment,
    resolved: Resolved,
    spark: "SparkSession",
    rows: int | None,
    names: Iterable[str],
    tell: Callable[[Mapping[str, Any]], None],
) -> Findings:
    def say(words: str) -> None:
        tell({"event": "look", "doing": words})

    say("opening the rows")
    task = resolved.task.build()
    plan = task.plan(spark, experiment, resolved, names)
    found: Findings = task.preview(plan, rows, say)
    if found.grid is not None and resolved.augment:
        say("augmenting")
        found = _augmented(found, found.grid, resolved, experiment.train.seed)
    return found


def resolve_preview(experiment: Experiment) -> Resolved:
    """Find and check the plugins of an experiment that need name no model. Raises: as `resolve` does."""
    model = experiment.model
    if isinstance(model, Step) and model.name == NO_MODEL:
        return resolve_rows(experiment, augment=True)
    return resolve(experiment)


def read_rows(written: str | None) -> int | None:
    """Return the number of a command line's `--rows`. Raises: SpecError where it is none."""
    if written is None:
        return None
    if not written.isdecimal() or int(written) < 1:
        raise SpecError(f"preview: --rows must be a whole number from 1 on, not '{written}'.")
    return int(written)


def _augmented(found: Findings, grid: Grid, resolved: Resolved, seed: int) -> Findings:
    """Return the findings with the grid's rows after random changes, by the very steps of training."""
    if grid.prepared is None or found.kind != "pictures" or not len(grid.prepared):
        return found
    from importlib.util import find_spec

    if find_spec("torch") is None:
        note = "The augmentation needs torch: pip install 'sparknn-magic[train]'."
        return replace(found, notes=(*found.notes, note))
    import torch

    parts = tuple(step.part for step in resolved.augment)
    rounds = []
    with torch.random.fork_rng(devices=[]):  # the notebook's own random numbers are left alone
        torch.manual_seed(seed)
        for _ in range(ROUNDS):
            rounds.append(_round(grid, parts))
    augmented = tuple(pixels for pixels, _ in rounds)
    boxes = tuple(each for _, each in rounds if each is not None)
    return replace(found, grid=replace(grid, augmented=augmented, augmented_boxes=boxes))


def _round(grid: Grid, parts: tuple[Part, ...]) -> "tuple[np.ndarray, tuple[np.ndarray, ...] | None]":
    """Return the grid's pictures, uint8[N, H, W, C], and their boxes, after one round of random changes."""
    import numpy as np
    import torch

    from sparknn_magic.training.network import Pixels
    from sparknn_magic.training.scenes import NONE, NUMBERS, Scenes

    channels = grid.prepared.shape[3]
    # Mean 0 and deviation 1: what comes out are the pictures in 0..1 as the network is given them.
    plain: dict[str, Any] = {"mean": [0.0] * channels, "std": [1.0] * channels}
    images = torch.from_numpy(np.array(grid.prepared))
    boxes: tuple[np.ndarray, ...] | None = None
    if grid.boxes is None:
        front: Any = Pixels(**plain)
        front.augment = tuple(part.build() for part in parts)
        changed = front.train()(images)[0]
    else:
        most = max(1, *(len(each) for each in grid.boxes))
        flat = np.full((len(images), most, NUMBERS), NONE, np.float32)
        for n, each in enumerate(grid.boxes):
            flat[n, : len(each)] = each
        front = Scenes(**plain)
        front.augment = tuple(part.build() for part in parts)
        changed, moved = front.train()(images, torch.from_numpy(flat.reshape(len(images), -1)))
        boxes = tuple(each[each[:, 0] >= 0] for each in moved.numpy())
    pixels = (changed.clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().numpy(), boxes
