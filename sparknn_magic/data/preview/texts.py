"""A look at rows of texts before training: lengths, scripts, copies, broken ones, and a few of them. On the driver."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknn_magic.data.columns import column, same_name
from sparknn_magic.data.entities.plan import EntityPlan
from sparknn_magic.data.folder import spark_says
from sparknn_magic.data.preview.findings import Broken, Copies, Counted, Findings, Grid, Twins
from sparknn_magic.data.preview.rows import (
    COUNTING,
    INSPECTING,
    Say,
    count_classes,
    count_splits,
    drawn,
    find_copies,
    group_words,
    inspected,
    left_out,
    most_frequent,
    spreads,
)
from sparknn_magic.data.preview.worker import TEXTS, applied, look_at_texts
from sparknn_magic.data.splits import TEST, TRAIN
from sparknn_magic.data.text.plan import TextPlan
from sparknn_magic.data.text.unlabelled import UnlabelledPlan
from sparknn_magic.spec.models import Source

MOST = 200_000  # texts that are looked at, where the user does not say
SHOWN = 6  # texts of the grid
EXAMPLES = 4  # of copies
LETTERS = 300  # of a text that is shown
FOLDED = "equal but for case, width, spaces and punctuation"
Details = Callable[[Any, Any], list[tuple[str, str]]]


def look(plan: TextPlan, most: int | None, inspect: Callable[[Any], Any], details: Details, say: Say) -> Findings:
    """Return what is found of texts with labels or entities; at most about `most` of them are read.

    Raises: DataError with the place in the cell where Spark cannot read the rows.
    """
    with spark_says(plan.experiment):
        say(COUNTING)
        rows = _every(plan)
        classes = count_classes(_labels(plan, rows), "entities" if isinstance(plan, EntityPlan) else "classes")
        counted, _ = count_splits(rows)
        few = drawn(rows, _key(), sum(counted.values()), most or MOST)
        whole = drawn(plan.rows, _key(), sum(counted.values()), most or MOST)
        say(INSPECTING)
        found, stops = inspected(inspect, replace(plan, rows=whole))
        known = None if plan.multilabel or isinstance(plan, EntityPlan) else classes
        facts = tuple(details(plan, found)) if found is not None else ()
        return replace(_common(few, counted, plan.steps, say, known), classes=classes, facts=facts, stops=stops)


def _every(plan: TextPlan) -> DataFrame:
    """Return split, row, label, text and pair of the rows of all splits, those of a test source of its own too."""
    rows = plan.rows.select("split", "row", "label", "text", "pair")
    if plan.test is None or not isinstance(plan.experiment.data.test, Source):
        return rows
    test, kind = plan.test, rows.schema["label"].dataType
    names = [same_name(test, name)[0] for name in plan.texts]
    texts = [F.array_join(column(n), " ") if isinstance(plan, EntityPlan) and plan.words else column(n) for n in names]
    pair = texts[1] if len(texts) == 2 else F.lit(None).cast("string")
    label = same_name(test, plan.experiment.data.label)
    known = column(label[0]) if label and kind.simpleString() == "string" else F.lit(None)
    return rows.unionAll(
        test.select(
            F.lit(TEST).alias("split"),
            F.xxhash64(texts[0], pair).alias("row"),
            known.cast(kind).alias("label"),
            texts[0].alias("text"),
            pair.alias("pair"),
        )
    )


def look_unlabelled(
    plan: UnlabelledPlan, most: int | None, inspect: Callable[[Any], Any], details: Details, say: Say
) -> Findings:
    """Return what is found of texts that nothing is learnt from."""
    with spark_says(plan.experiment):
        nothing = F.lit(None).cast("string")
        text = column(plan.texts[0])
        rows = plan.train.select(
            F.lit(TRAIN).alias("split"),
            F.xxhash64(text).alias("row"),
            nothing.alias("label"),
            text.alias("text"),
            nothing.alias("pair"),
        )
        say(COUNTING)
        counted, _ = count_splits(rows)
        say(INSPECTING)
        found, stops = inspected(inspect, plan)
        few = drawn(rows, _key(), sum(counted.values()), most or MOST)
        facts = tuple(details(plan, found)) if found is not None else ()
        return replace(_common(few, counted, plan.steps, say), facts=facts, stops=stops)


def _key() -> Column:
    return F.when(F.col("text").isNotNull(), F.xxhash64("text", "pair"))


def _labels(plan: TextPlan, rows: DataFrame) -> DataFrame:
    """Return split and label of each row, or of each of its labels or entities."""
    if not plan.multilabel and not isinstance(plan, EntityPlan):
        return rows.select("split", "label")
    each = rows.select("split", F.explode("label").alias("each"))
    if not isinstance(plan, EntityPlan):
        return each.select("split", F.col("each").alias("label"))
    if not plan.words:
        return each.select("split", F.col("each.label").alias("label"))
    begins = each.where(F.col("each").rlike("^B-."))
    return begins.select("split", F.substr("each", F.lit(3)).alias("label"))


def _common(
    rows: DataFrame, counted: dict[str, int], steps: tuple[Any, ...], say: Say, classes: Counted | None = None
) -> Findings:
    def looked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return look_at_texts(batches, steps)

    given = rows.select("split", _as_text(rows).alias("label"), _key().alias("key"), "text", "pair")
    seen = given.mapInArrow(looked, TEXTS).persist()
    try:
        say("reading texts: lengths, scripts, and what training leaves out")
        lengths = {"characters": ("length", "characters"), "words": ("length", "words between spaces")}
        found = spreads(seen.where("error IS NULL"), lengths)
        bars = _bars(seen)
        scripts = most_frequent(seen.select(F.explode("scripts").alias("script")), {"script": "scripts"})
        broken = left_out(seen, classes).groupBy("error").agg(F.count(F.lit(1)).alias("n"))
        reasons = [Broken(r.error, r.n) for r in broken.orderBy(F.desc("n"), "error").limit(50).collect()]
        say("looking for copies and like texts")
        copies = (_copies(rows, seen, "key", "equal"), _copies(rows, seen, "folded", FOLDED))
        keys = seen.where((F.col("split") == TRAIN) & F.col("error").isNull()).select("key").distinct()
        chosen = [r.key for r in keys.orderBy(F.xxhash64(F.lit("grid"), "key")).limit(SHOWN).collect()]
        total = sum(counted.values())
        return Findings(
            rows=counted,
            looked=seen.count() if total else 0,
            kind="texts",
            spreads=tuple(replace(each, bars=bars) if each.unit == "characters" else each for each in found),
            counts=scripts,
            broken=tuple(reasons),
            copies=copies,
            grid=_grid(rows, chosen, steps),
        )
    finally:
        seen.unpersist()


def _as_text(rows: DataFrame) -> Column:
    """Return the label as a string; of several labels or entities, as JSON."""
    label = F.col("label")
    return label if rows.schema["label"].dataType.simpleString() == "string" else F.to_json(label)


def _bars(seen: DataFrame) -> tuple[tuple[str, int], ...]:
    """Return how many texts have 1, 2 to 3, 4 to 7, ... characters."""
    power = F.floor(F.log2(F.col("characters").cast("double"))).cast("int").alias("power")
    used = seen.where("error IS NULL AND characters > 0").groupBy(power).agg(F.count(F.lit(1)).alias("n"))
    found = {r.power: r.n for r in used.collect()}
    if not found:
        return ()
    ranges = range(min(found), max(found) + 1)
    return tuple((f"{2**p:,} to {2 ** (p + 1) - 1:,}" if p else "1", found.get(p, 0)) for p in ranges)


def _copies(rows: DataFrame, seen: DataFrame, key: str, how: str) -> Copies:
    """Count copies, and bring the beginnings of a few to the driver."""
    copies, shown = find_copies(seen, key, how, EXAMPLES)
    found = replace(copies, title="Copies" if key == "key" else "Like texts")
    if not found.groups:
        return found
    wanted = {getattr(r, key): r for r in shown}
    pairs = seen.where(F.col(key).isin(list(wanted))).groupBy(key)
    ends = pairs.agg(F.min("key").alias("first"), F.max("key").alias("last")).collect()
    texts = _texts(rows, [k for r in ends for k in (r["first"], r["last"])])
    twins = []
    for r in ends:
        both = dict.fromkeys(texts[k] for k in (r["first"], r["last"]) if k in texts)
        twins.append(Twins(group_words(wanted[r[key]]), texts=tuple(both)))
    return replace(found, examples=tuple(twins))


def _texts(rows: DataFrame, keys: list[int]) -> dict[int, str]:
    """Bring the beginnings of texts to the driver, by their keys."""
    if not keys:
        return {}
    cut = [F.substring(name, 1, LETTERS) for name in ("text", "pair")]
    found = rows.where(_key().isin(keys)).select(_key().alias("key"), F.concat_ws(" | ", *cut).alias("text"))
    return {r.key: r.text for r in found.dropDuplicates(["key"]).collect()}


def _grid(rows: DataFrame, keys: list[int], steps: tuple[Any, ...]) -> Grid | None:
    if not keys:
        return None
    built = [part.build() for part in steps]
    found = _texts(rows, keys)
    raw = tuple(found[key] for key in keys if key in found)
    return Grid(raw, tuple(applied(built, text) for text in raw) if steps else None)
