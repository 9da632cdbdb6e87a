"""What the cell's `data:` and `preprocess:` come to for a task of texts, before any row is read. On the driver."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from sparknn_magic.data.columns import (
    BOXES,
    check_classes,
    column,
    find_column,
    find_numbers,
    refuse_keys,
    rows_error,
    sql_name,
)
from sparknn_magic.data.plan import RowsPlan, open_frames, sides_of
from sparknn_magic.data.splits import TRAIN, VALIDATION, key_columns, split_columns, split_of
from sparknn_magic.data.sql_steps import apply_steps
from sparknn_magic.data.text.job import MOST, MOST_KEY
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import Part
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved

FORMAT = 1  # a change of layout or of what is done to rows makes old prepared folders invalid


@dataclass(frozen=True)
class TextPlan(RowsPlan):
    """Rows of texts, and how they are to be prepared."""

    rows: DataFrame  # split int, row long, label string or array<string>, text string, pair string, x0 double, ...
    texts: tuple[str, ...]  # the input columns of the training source, one or two
    multilabel: bool  # a row's label is an array of classes
    steps: tuple[Part, ...]  # preprocessors of texts
    tokenizer: Part | None  # trains the tokenizer; None: `given`
    given: str  # tokenizer.json of a pretrained network, or ""
    most: int  # tokens of a text, where the cell does not say
    extra: tuple[str, ...] = ()  # numeric columns of the row that the loss reads, as it names them

    @property
    def pair(self) -> bool:
        """Whether two texts are read as one."""
        return len(self.texts) == 2

    @property
    def length(self) -> int | None:
        """Tokens of a text, as the cell says; None: to be found."""
        length = self.experiment.data.max_length
        return length if isinstance(length, int) else None

    def preparation(self) -> list[Any]:
        """Return steps, tokenizer, length and the extra columns."""
        parts = [[p.ref, dict(p.options), str(p.code)] for p in (*self.steps, *filter(None, [self.tokenizer]))]
        return [f"texts {FORMAT}", len(self.texts), self.multilabel, parts, self.given, self.length, *self.extra]


def plan(
    spark: SparkSession, experiment: Experiment, resolved: Resolved, names: Iterable[str] = (), *, given: str = ""
) -> TextPlan:
    """Open the sources, check columns and types, and lay out the splits. Runs no job over rows.

    `names` are the notebook's DataFrames; `given` is the tokenizer.json of a pretrained network.
    Raises: SpecError or DataError with the place in the cell.
    """
    check_keys(experiment)
    applied = apply_steps(open_frames(spark, experiment, names), experiment, resolved)
    frames = applied.frames
    texts = {n: find_texts(frame, experiment, n) for n, frame in frames.items()}
    labels = {n: find_column(frame, experiment.data.label, experiment, n, "label") for n, frame in frames.items()}
    kinds = {n: _label_kind(frames[n], labels[n], experiment, n) for n in frames}
    for n in kinds:
        _check_same_kind(experiment, n, kinds)
    extra = {n: find_numbers(frame, resolved.loss.columns, experiment, n) for n, frame in frames.items()}
    source = frames["train"]
    split = split_of(source, experiment, [column(name) for name in texts["train"]])
    splits = {"train": split, "validation": F.lit(VALIDATION)}
    used = {"train": [*key_columns(source, experiment), *split_columns(source, experiment)]}
    prepared = [n for n in splits if n in frames]
    multilabel = kinds["train"] is None
    parts = [_standard(frames[n], splits[n], texts[n], labels[n], extra[n], multilabel) for n in prepared]
    tokenizer = resolved.tokenizer
    return TextPlan(
        experiment=experiment,
        spark=spark,
        rows=parts[0] if len(parts) == 1 else parts[0].unionAll(parts[1]),
        train=source.where(split == TRAIN),
        **sides_of(frames, split, experiment),
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        whole_labels=bool(kinds["train"]),
        sources=tuple(
            (frames[n], tuple(column(name) for name in (*texts[n], labels[n], *extra[n], *used.get(n, ()))))
            for n in prepared
        ),
        queries=applied.stored(list(texts["train"])),
        texts=texts["train"],
        multilabel=multilabel,
        steps=tuple(step.part for step in resolved.preprocess),
        tokenizer=tokenizer.part if tokenizer is not None else None,
        given=given,
        most=int(tokenizer.item.notes.get(MOST_KEY, MOST)) if tokenizer is not None else MOST,
        extra=resolved.loss.columns,
    )


def check_keys(experiment: Experiment) -> None:
    """Raise SpecError where the cell says of its data what only other tasks have."""
    others = {"image": "pictures", "shape": "pictures", "features": "columns of numbers and categories", **BOXES}
    refuse_keys(experiment, others, "the column of texts is named by `text`.")


def find_texts(frame: DataFrame, experiment: Experiment, source: str) -> tuple[str, ...]:
    """Find the columns under `data.text`. Raises: DataError where one is missing or holds no text."""
    found = []
    for wanted in experiment.data.texts:
        name = find_column(frame, wanted, experiment, source, "text")
        kind = frame.schema[name].dataType
        if not isinstance(kind, StringType):
            message = f"column '{name}' is {kind.simpleString()[:80]}; texts are strings."
            raise rows_error(experiment, source, message, f"In SQL: CAST({sql_name(name)} AS STRING) AS text.")
        found.append(name)
    if len(set(found)) < len(found):
        raise experiment.error(("data", "text"), f"data.text names the column '{found[0]}' twice.")
    return tuple(found)


def _label_kind(frame: DataFrame, label: str, experiment: Experiment, source: str) -> bool | None:
    """Return whether the labels are whole numbers; None where a row has an array of labels. Raises: DataError."""
    kind = frame.schema[label].dataType
    if not isinstance(kind, ArrayType):
        return check_classes(frame, label, experiment, source)
    if not isinstance(kind.elementType, StringType):
        message = (
            f"the label column '{label}' is {kind.simpleString()[:80]}; several labels of a row are array<string>."
        )
        hint = f"In SQL: CAST({sql_name(label)} AS ARRAY<STRING>) AS {sql_name(label)}."
        raise rows_error(experiment, source, message, hint)
    return None


def _check_same_kind(experiment: Experiment, source: str, kinds: dict[str, bool | None]) -> None:
    if (kinds[source] is None) != (kinds["train"] is None):
        words = {True: "several labels a row", False: "one label a row"}
        ours, theirs = words[kinds["train"] is None], words[kinds[source] is None]
        raise rows_error(experiment, source, f"data.{source} has {theirs}, and data.train {ours}.")


def _standard(
    frame: DataFrame, split: Column, texts: tuple[str, ...], label: str, extra: list[str], multilabel: bool
) -> DataFrame:
    """Return the rows as `TextPlan.rows` has them; of several labels the sorted ones, each once and without nulls."""
    learnt = F.array_sort(F.array_distinct(F.array_compact(column(label)))) if multilabel else column(label)
    whole = learnt if multilabel else learnt.cast("string")
    first = column(texts[0])
    second = column(texts[1]) if len(texts) == 2 else F.lit(None).cast("string")
    numbers = [column(name).cast("double") for name in extra]
    return frame.select(
        split.cast("int").alias("split"),
        F.xxhash64(first, second, whole, *numbers).alias("row"),
        whole.alias("label"),
        first.alias("text"),
        second.alias("pair"),
        *(number.alias(f"x{i}") for i, number in enumerate(numbers)),
    )


def text_error(experiment: Experiment, message: str, hint: str | None = None) -> SparkNNError:
    """Return an error about the texts of the training rows, with their place in the cell."""
    path = ("data", "text") if experiment.where("data", "text") else ("data", "train")
    return experiment.error(path, message, hint=hint)
