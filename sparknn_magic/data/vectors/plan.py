"""What the cell's `data:` and `preprocess:` come to for a vector task, before any row has been read. On the driver."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

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
from sparknn_magic.data.vectors.columns import find_features, numbers, raw, same_features
from sparknn_magic.data.vectors.job import Feature
from sparknn_magic.errors import DataError, did_you_mean
from sparknn_magic.plugin import CategoryStep, ColumnStep, Part
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved, ResolvedStep

FORMAT = 1  # a change of layout or of what is done to rows makes old prepared folders invalid


@dataclass(frozen=True)
class Numeric:
    """A step on numbers, not fitted yet."""

    name: str
    part: Part
    step: ColumnStep
    columns: tuple[str, ...]  # that it works on
    named: bool  # the cell lists them


@dataclass(frozen=True)
class VectorPlan(RowsPlan):
    """Rows of numbers and categories, and how they are to be prepared."""

    features: tuple[Feature, ...]  # of the training source; arrays and vectors without their width
    parts: tuple["RowsPart", ...]  # of the prepared rows: the training source, and that of validation
    regression: bool  # the label is a number
    steps: tuple[Numeric, ...]
    codings: Mapping[str, CategoryStep]  # of the categorical columns that a step names
    extra: tuple[str, ...] = ()  # numeric columns of the row that the loss reads, as it names them

    @property
    def categories(self) -> tuple[Feature, ...]:
        """The categorical columns."""
        return tuple(f for f in self.features if f.kind == "category")

    def preparation(self) -> list[Any]:
        """Return columns, steps and codings."""
        steps = [[s.part.ref, dict(s.part.options), list(s.columns)] for s in self.steps]
        codings = {name: [c.width, c.most] for name, c in self.codings.items()}
        kinds = [[f.name, f.kind] for f in self.features]
        return [f"vectors {FORMAT}", kinds, self.regression, steps, codings, list(self.extra)]

    def rows(self, widths: Mapping[str, int]) -> DataFrame:
        """Return split int, row long, label, numbers array<double>, wrong string, c0 string, ..., x0 double, ...

        `widths` are the lengths of arrays and vectors; `row` is a hash of all others; `wrong` is why a row cannot be
        used; c0, c1, ... are the categories, null being the empty text; x0, x1, ... the extra columns.
        """
        frames = [part.frame.select(*self._standard(part, widths)) for part in self.parts]
        return frames[0] if len(frames) == 1 else frames[0].unionAll(frames[1])

    def sample(self, widths: Mapping[str, int], split: int, limit: int) -> DataFrame:
        """Return at most `limit` labelled rows of a split, whichever, as in `rows`, and the features: f0, f1, ..."""
        part = self.parts[-1] if split == VALIDATION else self.parts[0]
        features = [column(f.name).alias(f"f{i}") for i, f in enumerate(part.features)]
        rows = part.frame.select(*self._standard(part, widths), *features)
        rows = rows.where((F.col("split") == split) & F.col("label").isNotNull() & F.col("wrong").isNull())
        return rows.orderBy("row").limit(limit)  # by a hash: not the first ones of a sorted table

    def _standard(self, part: "RowsPart", widths: Mapping[str, int]) -> list[Column]:
        pairs = zip(part.features, self.features, strict=True)
        features = [replace(f, width=widths.get(own.name, f.width)) for f, own in pairs]
        codes = [F.coalesce(raw(f), F.lit("")) for f in features if f.kind == "category"]
        extra = [column(name).cast("double") for name in part.extra]
        all_numbers, wrong = numbers(features)
        return [
            part.split.cast("int").alias("split"),
            F.xxhash64(all_numbers, *codes, part.label, *extra).alias("row"),
            part.label.alias("label"),
            all_numbers.alias("numbers"),
            wrong.alias("wrong"),
            *(code.alias(f"c{i}") for i, code in enumerate(codes)),
            *(number.alias(f"x{i}") for i, number in enumerate(extra)),
        ]


@dataclass(frozen=True)
class RowsPart:
    """A source of prepared rows."""

    frame: DataFrame
    split: Column
    label: Column  # string or double
    features: tuple[Feature, ...]
    extra: tuple[str, ...]


def plan(
    spark: SparkSession,
    experiment: Experiment,
    resolved: Resolved,
    names: Iterable[str] = (),
    *,
    regression: bool,
) -> VectorPlan:
    """Open the sources, check columns, types and steps, and lay out the splits. Runs no job over rows.

    `names` are the notebook's DataFrames.
    Raises: SpecError or DataError with the place in the cell.
    """
    refuse_keys(experiment, BOXES, "the column of what is learnt is named by `label`.")
    applied = apply_steps(open_frames(spark, experiment, names), experiment, resolved)
    frames = applied.frames
    source = frames["train"]
    features = find_features(source, experiment)
    found = {n: features if n == "train" else same_features(f, features, experiment, n) for n, f in frames.items()}
    labels = {n: _label(frame, experiment, n, regression) for n, frame in frames.items()}
    extra = {n: tuple(find_numbers(frame, resolved.loss.columns, experiment, n)) for n, frame in frames.items()}
    split = split_of(source, experiment, [raw(f) for f in features])
    splits = {"train": split, "validation": F.lit(VALIDATION)}
    parts = tuple(
        RowsPart(
            frames[n],
            splits[n],
            _label_column(labels[n][0], regression),
            found[n],
            extra[n],
        )
        for n in splits
        if n in frames
    )
    used = [*key_columns(source, experiment), *split_columns(source, experiment)]
    steps, codings = _steps(experiment, resolved.preprocess, features)
    return VectorPlan(
        experiment=experiment,
        spark=spark,
        train=source.where(split == TRAIN),
        **sides_of(frames, split, experiment),
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        whole_labels=labels["train"][1],
        sources=tuple(
            (
                part.frame,
                (
                    *(raw(f) for f in part.features),
                    part.label,
                    *(column(name) for name in (*part.extra, *(used if part is parts[0] else ()))),
                ),
            )
            for part in parts
        ),
        queries=applied.stored([feature.name for feature in features]),
        features=features,
        parts=parts,
        regression=regression,
        steps=steps,
        codings=codings,
        extra=resolved.loss.columns,
    )


def _label(frame: DataFrame, experiment: Experiment, source: str, regression: bool) -> tuple[str, bool]:
    """Return the label column's name, and whether it holds whole numbers that are classes."""
    label = find_column(frame, experiment.data.label, experiment, source, "label")
    if not regression:
        return label, check_classes(frame, label, experiment, source)
    kind = frame.schema[label].dataType
    if not isinstance(kind, NumericType):
        message = f"the label column '{label}' is {kind.simpleString()}; what is learnt here is a number."
        hint = (
            f"In SQL: CAST({sql_name(label)} AS DOUBLE) AS {sql_name(label)}; classes: `task: vector-classification`."
        )
        raise rows_error(experiment, source, message, hint)
    return label, False


def _label_column(label: str, regression: bool) -> Column:
    if not regression:
        return column(label).cast("string")
    number = column(label).cast("double")
    infinite = F.lit(float("inf"))
    # NaN is larger than any number for Spark, so it is not below infinity.
    return F.when((number < infinite) & (number > -infinite), number)


def _steps(
    experiment: Experiment, steps: Sequence[ResolvedStep], features: Sequence[Feature]
) -> tuple[tuple[Numeric, ...], dict[str, CategoryStep]]:
    """Return the steps on numbers in order, and for each categorical column that a step is for its coding."""
    numeric = [f.name for f in features if f.kind != "category"]
    categories = [f.name for f in features if f.kind == "category"]
    found: list[Numeric] = []
    codings: dict[str, CategoryStep] = {}
    for each in steps:
        step, path = each.part.build(), (*each.path, each.item.name)
        if isinstance(step, CategoryStep):
            chosen = _chosen(experiment, path, each.item.name, step.columns, categories, "categorical", numeric)
            codings |= dict.fromkeys(chosen, step)
        elif isinstance(step, ColumnStep):
            known = [*numeric, *categories] if step.drops else numeric
            chosen = _chosen(experiment, path, each.item.name, step.columns, known, "numeric", categories)
            found.append(Numeric(each.item.name, each.part, step, chosen, step.columns is not None))
        else:
            message = f"the preprocessor '{each.item.name}' is for pictures, not for columns."
            hint = f"`%sparknn zoo {experiment.task}` lists what this task can use."
            raise experiment.error(path, message, hint=hint, key=True)
    return tuple(found), codings


def _chosen(
    experiment: Experiment,
    path: tuple[str | int, ...],
    item: str,
    columns: Sequence[str] | None,
    known: Sequence[str],
    kind: str,
    others: Sequence[str],
) -> tuple[str, ...]:
    """Return the features that a step is for. Raises: DataError where it names one that is no such feature."""
    if columns is None:
        return tuple(known)
    by_name = {name.lower(): name for name in known} | {name: name for name in known}
    same = [by_name.get(name) or by_name.get(name.lower()) for name in columns]
    for i, name in enumerate(columns):
        if same[i] is None:
            message = f"{item}: '{name}' is not among the {kind} features.{did_you_mean(name, known)}"
            if name.lower() in (other.lower() for other in others):
                other = "a number" if kind == "categorical" else "a category"
                message = f"{item}: the column '{name}' is {other}, and this step is for {kind} ones."
            where = next((p for p in ((*path, "columns", i), (*path, i)) if experiment.where(*p)), path)
            hint = f"They are {', '.join(known[:12]) or 'none'}." if known or others else None
            raise experiment.error(where, message, hint=hint, kind=DataError)
    return tuple(filter(None, same))
