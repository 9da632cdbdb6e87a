"""Texts that nothing is learnt from: they are counted and measured, and a few are looked at. Runs on the driver."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.columns import column, rows_error
from sparknn_magic.data.folder import reasons, spark_says
from sparknn_magic.data.plan import RowsPlan, open_frames
from sparknn_magic.data.sql_steps import apply_steps
from sparknn_magic.data.text.job import MOST
from sparknn_magic.data.text.measure import MEASURES, MeasureJob, measure
from sparknn_magic.data.text.plan import find_texts
from sparknn_magic.data.text.shards import QUANTILES
from sparknn_magic.data.text.tokenizing import Encoder, text_inputs, with_normalizers
from sparknn_magic.hub import SENTENCES
from sparknn_magic.plugin import Part, TextInputs
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import Resolved

BUCKETS = 1_000_000


@dataclass(frozen=True)
class UnlabelledPlan(RowsPlan):
    """Rows of texts, and what reads them."""

    texts: tuple[str, ...]  # the input column of the source
    steps: tuple[Part, ...]  # preprocessors of texts
    given: str  # tokenizer.json of the pretrained network
    length: int  # tokens of a text that are read

    def preparation(self) -> list[Any]:
        """Return the steps, the tokenizer and the length."""
        return ["unlabelled", [[p.ref, dict(p.options), str(p.code)] for p in self.steps], self.given, self.length]


@dataclass(frozen=True)
class Measured:
    """What the rows are."""

    uri: str  # the same for the same rows and steps
    inputs: TextInputs
    tokenizer: str  # tokenizer.json
    rows: dict[str, int]  # read: those whose text can be read
    dropped: list[dict[str, Any]]  # reason, rows
    quantiles: tuple[int, ...]  # of the texts' lengths in tokens: median, 95 %, longest
    cut: int  # texts that are longer than what is read
    plan: UnlabelledPlan = field(repr=False)
    classes: tuple[str, ...] = ()
    reused: bool = False

    @property
    def notes(self) -> list[str]:
        """What the user should know of the rows: how many texts are cut."""
        if not self.cut:
            return []
        rows, most = self.rows["read"], self.inputs.length
        return [f"{self.cut:,} of {rows:,} texts have more than {most:,} tokens; the network reads the first {most:,}."]


def plan(
    spark: SparkSession, experiment: Experiment, resolved: Resolved, names: Iterable[str], *, given: str, most: int
) -> UnlabelledPlan:
    """Open the source `data.train` and check the column `data.text`. Runs no job over rows.

    `given` is the tokenizer.json of a pretrained network, `most` how many tokens it reads where the cell says nothing.
    Raises: SpecError or DataError with the place in the cell.
    """
    applied = apply_steps(open_frames(spark, experiment, names), experiment, resolved)
    source = applied.frames["train"]
    texts = find_texts(source, experiment, "train")
    length = experiment.data.max_length
    return UnlabelledPlan(
        experiment=experiment,
        spark=spark,
        train=source,
        validation=None,
        test=None,
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        whole_labels=False,
        sources=((source, tuple(column(name) for name in texts)),),
        queries=applied.stored(list(texts)),
        texts=texts,
        steps=tuple(step.part for step in resolved.preprocess),
        given=given,
        length=length if isinstance(length, int) else most,
    )


def most_tokens(folder: Path) -> int:
    """Return how many tokens a pretrained network is meant to read: as its files say, and at most 512."""
    file = folder / SENTENCES
    said = json.loads(file.read_text("utf-8")).get("max_seq_length") if file.is_file() else None
    return min(MOST, said or MOST)


def find(plan: UnlabelledPlan) -> Measured:
    """Count and measure the texts by one Spark job. Raises: DataError where there is none that can be read."""
    tokenizer = with_normalizers(plan.given, [step.build() for step in plan.steps])
    job = MeasureJob(plan.steps, tokenizer, plan.length)

    def lengths(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return measure(batches, job)

    with spark_says(plan.experiment):
        texts = plan.train.select(column(plan.texts[0]).alias("text"))
        seen = texts.mapInArrow(lengths, MEASURES).groupBy("length", "cut", "error").count().collect()
        uri = plan.fingerprint()
    good = sorted((r.length, r["count"]) for r in seen if r.error is None)
    rows, dropped = sum(n for _, n in good), reasons((r.error, r["count"]) for r in seen if r.error is not None)
    if not seen:
        raise rows_error(plan.experiment, "train", "data.train has no rows.")
    if not rows:
        why = "; ".join(f"{each['rows']:,} rows: {each['reason']}" for each in dropped)
        raise rows_error(plan.experiment, "train", f"no text of data.train can be read ({why}).")
    each = np.repeat([length for length, _ in good], [n for _, n in good])
    return Measured(
        uri=uri,
        inputs=text_inputs(tokenizer, plan.length),
        tokenizer=tokenizer,
        rows={"read": rows},
        dropped=dropped,
        quantiles=tuple(int(n) for n in np.quantile(each, QUANTILES, method="higher")),
        cut=sum(r["count"] for r in seen if r.cut),
        plan=plan,
    )


def details(found: Measured) -> list[tuple[str, str]]:
    """Return what a dry run says of the texts: lines `name, text`."""
    median, most, longest = found.quantiles
    words = f"{median:,} tokens in the median, {most:,} at 95 %, {longest:,} at most; {found.inputs.length:,} are read"
    return [("texts", words), ("tokenizer", f"of the pretrained network, {found.inputs.vocabulary:,} tokens")]


def sample_tokens(found: Measured, limit: int) -> list[np.ndarray]:
    """Bring at most `limit` texts to the driver and return their token ids, int32 each, for checks."""
    plan = found.plan
    text = column(plan.texts[0])
    rows = plan.train.where(text.isNotNull()).orderBy(F.xxhash64(text), text).select(text.alias("text")).limit(limit)
    encoder = Encoder(found.tokenizer, [step.build() for step in plan.steps], plan.length)
    read = encoder.encode(rows.toArrow().column("text").combine_chunks())
    return [
        read.ids[start:end]
        for start, end, error in zip(read.offsets[:-1], read.offsets[1:], read.errors, strict=True)
        if error is None
    ]


def drawn(frame: DataFrame, found: Measured, most: int) -> DataFrame:
    """Return about `most` of the rows, chosen by a hash of the text, or all where there are no more."""
    total = found.rows["read"] + sum(each["rows"] for each in found.dropped)
    if total <= most:
        return frame
    text = column(found.plan.texts[0])
    return frame.where(F.pmod(F.xxhash64(F.lit("drawn"), text), F.lit(BUCKETS)) < BUCKETS * most // total)
