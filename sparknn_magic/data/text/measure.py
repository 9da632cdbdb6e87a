"""How long texts are in tokens, and which cannot be read. Runs on executors: numpy, pyarrow and tokenizers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparknn_magic.data.text.tokenizing import Encoder
from sparknn_magic.plugin import Part

MEASURES = "length int, cut boolean, error string"
MICRO_ROWS = 4096


@dataclass(frozen=True, slots=True)
class MeasureJob:
    """What texts are measured with."""

    steps: tuple[Part, ...]  # preprocessors of texts
    tokenizer: str  # tokenizer.json
    length: int  # tokens that are read


def measure(batches: Iterator[pa.RecordBatch], job: MeasureJob) -> Iterator[pa.RecordBatch]:
    """Turn rows (text string) into rows of the schema `MEASURES`; a length is at most one above what is read."""
    encoder = Encoder(job.tokenizer, [step.build() for step in job.steps], job.length + 1)
    for whole in batches:
        for start in range(0, whole.num_rows, MICRO_ROWS):
            found = encoder.encode(whole.slice(start, MICRO_ROWS).column("text"))
            lengths = np.diff(found.offsets).astype(np.int32)
            columns = [pa.array(lengths), pa.array(lengths > job.length), pa.array(found.errors, pa.string())]
            yield pa.RecordBatch.from_arrays(columns, names=["length", "cut", "error"])
