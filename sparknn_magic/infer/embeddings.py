"""A network's vectors -> Arrow arrays, on executors; writers like those of `worker`. Numpy and pyarrow."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from sparknn_magic.infer.worker import features_writer

Outputs = Mapping[str, np.ndarray]
Writer = Callable[[Outputs, np.ndarray, list[str | None]], pa.Array]


def array_writer() -> Writer:
    """Return a function of (outputs, rows, errors) to array<float>, one for each row; null where it was not scored.

    `outputs` has `embedding` float32[scored, D]; `rows` int64[scored] are the positions of the scored rows among those
    that `errors` stands for.
    """
    write_features = features_writer()

    def write(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        found = {"features": outputs["embedding"]} if "embedding" in outputs else {}
        return write_features(found, rows, errors)

    return write


def embedding_writer() -> Writer:
    """Return a function of (outputs, rows, errors) to struct<embedding: array<float>, error: string>.

    What it is given is that of `array_writer`.
    """
    write_arrays = array_writer()

    def write(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        columns = [write_arrays(outputs, rows, errors), pa.array(errors, pa.string())]
        return pa.StructArray.from_arrays(columns, names=["embedding", "error"])

    return write


def vector_writer() -> Writer:
    """Return a function of (outputs, rows, errors) to struct<vector: binary, error: string>.

    `outputs` has `features` float32[scored, D]; a vector is such a row, as D float32. `rows` and `errors` are those of
    `array_writer`.
    """

    def write(outputs: Outputs, rows: np.ndarray, errors: list[str | None]) -> pa.Array:
        features = outputs.get("features", np.empty((0, 0), np.float32)).astype(np.float32, copy=False)
        vectors: list[bytes | None] = [None] * len(errors)
        for row, vector in zip(rows.tolist(), features, strict=True):
            vectors[row] = vector.tobytes()
        columns = [pa.array(vectors, pa.binary()), pa.array(errors, pa.string())]
        return pa.StructArray.from_arrays(columns, names=["vector", "error"])

    return write
