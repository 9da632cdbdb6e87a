"""What the cell's `data:` and `preprocess:` come to, before any row has been read. Runs on the driver."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.columns import (
    BOXES,
    Columns,
    check_same_pictures,
    column,
    find_columns,
    find_numbers,
    refuse_keys,
    rows_error,
)
from sparknn_magic.data.identity import identity
from sparknn_magic.data.sources import open_source
from sparknn_magic.data.splits import SPLITS, TRAIN, VALIDATION, key_columns, picture, split_columns, split_of
from sparknn_magic.data.sql_steps import StoredStep, apply_steps
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import Part
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import Source
from sparknn_magic.spec.resolve import Resolved

FORMAT = 1  # of the prepared folder; a change of layout or of decoding makes old ones invalid


@dataclass(frozen=True)
class RowsPlan:
    """Rows of any kind: where they come from, and how they are split."""

    experiment: Experiment
    spark: SparkSession
    train: DataFrame  # the training rows as their source and the SQL steps give them, and so on
    validation: DataFrame | None
    test: DataFrame | None
    columns: list[tuple[str, str]]  # of the training source: name and type
    whole_labels: bool  # labels are whole numbers, and sorted as such
    sources: tuple[tuple[DataFrame, tuple[Column, ...]], ...]  # of the prepared rows, and their columns that matter
    queries: tuple[StoredStep, ...]  # the SQL steps that have been applied to all of these

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the rows, their split and the steps; a Spark job for each source."""
        data = self.experiment.to_dict()["data"]
        splits = {n: "source" if isinstance(getattr(self.experiment.data, n), Source) else data.get(n) for n in SPLITS}
        rows = [identity(self.spark, frame, list(columns)) for frame, columns in self.sources]
        text = json.dumps([FORMAT, splits, *self.preparation(), rows], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def preparation(self) -> list[Any]:
        """Return what else decides the prepared rows, as values for JSON."""
        raise NotImplementedError


@dataclass(frozen=True)
class PicturePlan(RowsPlan):
    """Rows of pictures, with whatever is learnt of them."""

    rows: DataFrame  # split int, row long, image, and what is learnt; not the test source's
    steps: tuple[Part, ...]  # preprocessors of one picture

    @property
    def shape(self) -> tuple[int, ...] | None:
        """[height, width, channels] of raw pixels."""
        return self.experiment.data.shape


@dataclass(frozen=True)
class Plan(PicturePlan):
    """Rows of pictures with a class each: `rows` has label string and extra array<double> too."""

    extra: tuple[str, ...] = ()  # numeric columns of the row that the loss reads, as it names them

    def preparation(self) -> list[Any]:
        """Return the shape of raw pixels, the steps and the extra columns."""
        steps = [[step.ref, dict(step.options), str(step.code)] for step in self.steps]
        return [self.experiment.to_dict()["data"].get("shape"), steps, *self.extra]


def plan(spark: SparkSession, experiment: Experiment, resolved: Resolved, names: Iterable[str] = ()) -> Plan:
    """Open the sources, check columns and types, and lay out the splits. Runs no job over rows.

    `names` are the notebook's DataFrames. Raises: SpecError or DataError with the place in the cell.
    """
    refuse_keys(experiment, BOXES, "the column of what is learnt is named by `label`.")
    applied = apply_steps(open_frames(spark, experiment, names), experiment, resolved, experiment.data.image)
    frames = applied.frames
    columns = {name: find_columns(frame, experiment, name) for name, frame in frames.items()}
    source = frames["train"]
    split = split_of(source, experiment, picture(columns["train"].image, columns["train"].kind))
    used = {name: find_numbers(frame, resolved.loss.columns, experiment, name) for name, frame in frames.items()}
    rows = _standard(source, split, columns["train"], used["train"])
    if "validation" in frames:
        ours, theirs = columns["train"], columns["validation"]
        check_same_pictures(experiment, (ours.kind, ours.type), (theirs.kind, theirs.type), theirs.image)
        others = _standard(frames["validation"], F.lit(VALIDATION), columns["validation"], used["validation"])
        rows = rows.unionAll(others)
    used["train"] = [*used["train"], *key_columns(source, experiment), *split_columns(source, experiment)]
    return Plan(
        experiment=experiment,
        spark=spark,
        rows=rows,
        train=source.where(split == TRAIN),
        **sides_of(frames, split, experiment),
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        whole_labels=columns["train"].whole_labels,
        steps=tuple(step.part for step in resolved.preprocess[applied.done :]),
        queries=applied.stored([columns["train"].image]),
        sources=tuple(
            (frames[n], tuple(_that_matter(columns[n], used[n]))) for n in ("train", "validation") if n in frames
        ),
        extra=resolved.loss.columns,
    )


def open_frames(spark: SparkSession, experiment: Experiment, names: Iterable[str]) -> dict[str, DataFrame]:
    """Open the sources under `data:`: "train", and "validation" and "test" where they have sources of their own.

    Raises: SpecError or DataError with the place in the cell.
    """
    data = experiment.data
    return {n: _opened(spark, experiment, n, names) for n in SPLITS if isinstance(getattr(data, n), Source)}


def sides_of(frames: Mapping[str, DataFrame], split: Column, experiment: Experiment) -> dict[str, DataFrame | None]:
    """Return validation and test rows as their source gives them; None for what the cell does without."""
    source, data = frames["train"], experiment.data
    return {
        n: frames.get(n, source.where(split == SPLITS[n])) if getattr(data, n) is not None else None
        for n in ("validation", "test")
    }


def _opened(spark: SparkSession, experiment: Experiment, name: str, names: Iterable[str]) -> DataFrame:
    source: Source = getattr(experiment.data, name)

    def fail(message: str, hint: str | None = None) -> SparkNNError:
        return experiment.error(("data", name, source.kind), message, hint=hint)

    frame = open_source(spark, source, fail, names)
    if frame.isStreaming:
        raise rows_error(
            experiment,
            name,
            f"{source.value[:80]} is a stream, and training needs rows that come to an end.",
            "Write the stream to a table and train on that; a stream can be predicted on.",
        )
    return frame


def _standard(frame: DataFrame, split: Column, columns: Columns, extra: list[str]) -> DataFrame:
    image, label = column(columns.image), column(columns.label).cast("string")
    row = F.xxhash64(*picture(columns.image, columns.kind), label)
    numbers = F.array(*(column(name).cast("double") for name in extra)).cast("array<double>")
    return frame.select(
        split.cast("int").alias("split"),
        row.alias("row"),
        label.alias("label"),
        image.alias("image"),
        numbers.alias("extra"),
    )


def _that_matter(columns: Columns, others: list[str]) -> list[Column]:
    return [*picture(columns.image, columns.kind), column(columns.label), *(column(name) for name in others)]
