"""What the cell's `data:` and `preprocess:` come to for named entities, before any row is read. Runs on the driver."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructType
from tokenizers import normalizers

from sparknn_magic.data.columns import WHOLE_NUMBERS, column, find_column, rows_error, sql_name
from sparknn_magic.data.plan import open_frames, sides_of
from sparknn_magic.data.splits import TRAIN, VALIDATION, key_columns, split_columns, split_of
from sparknn_magic.data.sql_steps import apply_steps
from sparknn_magic.data.text.job import MOST, MOST_KEY
from sparknn_magic.data.text.plan import TextPlan, check_keys
from sparknn_magic.errors import PluginError, SpecError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved

FORMAT = 1  # a change of layout or of what is done to rows makes old prepared folders invalid
SPAN = ("start", "end", "label")
SHAPES = "spans are array<struct<start:int,end:int,label:string>>, tags of words array<string>"


@dataclass(frozen=True)
class EntityPlan(TextPlan):
    """Rows of texts with spans, or of words with tags, and how they are to be prepared.

    `rows` has split int, row long, label (array<struct<start: bigint, end: bigint, label: string>>, or array<string>),
    text string, pair (null), and words array<string> (null where texts are given).
    """

    words: bool = False  # rows are lists of words, with a tag for each

    def preparation(self) -> list[Any]:
        """Return what decides the prepared rows."""
        return [f"entities {FORMAT}", self.words, *super().preparation()]


def plan(
    spark: SparkSession, experiment: Experiment, resolved: Resolved, names: Iterable[str] = (), *, given: str = ""
) -> EntityPlan:
    """Open the sources, check columns and types, and lay out the splits. Runs no job over rows.

    `names` are the notebook's DataFrames; `given` is the tokenizer.json of a pretrained network.
    Raises: SpecError or DataError with the place in the cell.
    """
    _check_cell(experiment, resolved)
    applied = apply_steps(open_frames(spark, experiment, names), experiment, resolved)
    frames = applied.frames
    texts = {n: find_column(frame, experiment.data.texts[0], experiment, n, "text") for n, frame in frames.items()}
    labels = {n: find_column(frame, experiment.data.label, experiment, n, "label") for n, frame in frames.items()}
    kinds = {n: of_words(frames[n], texts[n], labels[n], experiment, n) for n in frames}
    for n, kind in kinds.items():
        if kind != kinds["train"]:
            ours, theirs = ("words with tags" if each else "texts with spans" for each in (kinds["train"], kind))
            raise rows_error(experiment, n, f"data.{n} has {theirs}, and data.train {ours}.")
    source = frames["train"]
    split = split_of(source, experiment, [column(texts["train"])])
    splits = {"train": split, "validation": F.lit(VALIDATION)}
    used = {"train": [*key_columns(source, experiment), *split_columns(source, experiment)]}
    prepared = [n for n in splits if n in frames]
    parts = [_standard(frames[n], splits[n], texts[n], labels[n], kinds[n]) for n in prepared]
    tokenizer = resolved.tokenizer
    return EntityPlan(
        experiment=experiment,
        spark=spark,
        rows=parts[0] if len(parts) == 1 else parts[0].unionAll(parts[1]),
        train=source.where(split == TRAIN),
        **sides_of(frames, split, experiment),
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        whole_labels=False,
        sources=tuple(
            (frames[n], tuple(column(name) for name in (texts[n], labels[n], *used.get(n, ())))) for n in prepared
        ),
        queries=applied.stored([texts["train"]]),
        texts=(texts["train"],),
        multilabel=False,
        steps=tuple(step.part for step in resolved.preprocess),
        tokenizer=tokenizer.part if tokenizer is not None else None,
        given=given,
        most=int(tokenizer.item.notes.get(MOST_KEY, MOST)) if tokenizer is not None else MOST,
        extra=(),
        words=kinds["train"],
    )


def _check_cell(experiment: Experiment, resolved: Resolved) -> None:
    """Raise SpecError for what a cell may say of other tasks of texts, but not of this one."""
    check_keys(experiment)
    if len(experiment.data.texts) > 1:
        raise experiment.error(("data", "text"), "token-classification reads one column of texts, not a pair.")
    if experiment.metrics:
        message = "metrics are SQL over one label a row, and rows of token-classification have spans."
        hint = "Its own metrics are precision, recall and F1 of whole spans, for each label."
        raise experiment.error(("metrics",), message, hint=hint, key=True, kind=SpecError)
    if resolved.loss.columns or resolved.loss.item.name == "sql":
        message = "a loss in SQL, or one that reads columns of the row, has no row here: it is of each token."
        raise experiment.error(("loss",), message, kind=SpecError)
    for step in resolved.preprocess:
        if not isinstance(step.part.build(), normalizers.Normalizer):
            message = (
                f"the preprocessor '{step.item.name}' is a function of a text, and behind it nobody knows which "
                "characters a token stands for."
            )
            hint = "For token-classification it must return a tokenizers Normalizer; or change the texts by `- sql:`."
            raise experiment.error((*step.path, step.item.name), message, hint=hint, key=True, kind=PluginError)


def of_words(frame: DataFrame, text: str, label: str, experiment: Experiment, source: str) -> bool:
    """Return whether rows are words with tags; else they are texts with spans. Raises: DataError."""
    texts, labels = frame.schema[text].dataType, frame.schema[label].dataType
    words = _strings(texts)
    if not words and not isinstance(texts, StringType):
        message = f"column '{text}' is {texts.simpleString()[:80]}; a text is a string, or an array<string> of words."
        raise rows_error(experiment, source, message)
    if words and not _strings(labels):
        message = f"column '{text}' holds words, so '{label}' is array<string>, a tag for each; it is {_type(labels)}."
        raise rows_error(experiment, source, message, "A tag is O, B-x for an entity's first word, or I-x.")
    if not words and not _spans(labels):
        message = f"the label column '{label}' is {_type(labels)}, and column '{text}' holds texts; {SHAPES}."
        hint = f"In SQL: transform({sql_name(label)}, s -> struct(s.begin AS start, s.stop AS end, s.kind AS label))."
        raise rows_error(experiment, source, message, hint)
    return words


def _type(kind: DataType) -> str:
    return kind.simpleString()[:80]


def _strings(kind: DataType) -> bool:
    return isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType)


def _spans(kind: DataType) -> bool:
    """Return whether a column holds spans: whole numbers start and end, and a string label, among other fields."""
    if not isinstance(kind, ArrayType) or not isinstance(kind.elementType, StructType):
        return False
    fields = {field.name.lower(): field.dataType for field in kind.elementType}
    whole = [fields[n].simpleString() in WHOLE_NUMBERS for n in SPAN[:2] if n in fields]
    return whole == [True, True] and isinstance(fields.get("label"), StringType)


def as_spans(label: Column) -> Column:
    """Return a column of spans as array<struct<start: bigint, end: bigint, label: string>>, without other fields."""

    def span(each: Column) -> Column:
        numbers = [each.getField(name).cast("bigint").alias(name) for name in SPAN[:2]]
        return F.struct(*numbers, each.getField("label").alias("label"))

    return F.transform(label, span)


def _standard(frame: DataFrame, split: Column, text: str, label: str, words: bool) -> DataFrame:
    given, learnt = column(text), column(label)
    whole = learnt if words else as_spans(learnt)
    return frame.select(
        split.cast("int").alias("split"),
        F.xxhash64(given, whole).alias("row"),
        whole.alias("label"),
        (F.array_join(given, " ", "") if words else given).alias("text"),
        F.lit(None).cast("string").alias("pair"),
        (given if words else F.lit(None).cast("array<string>")).alias("words"),
    )
