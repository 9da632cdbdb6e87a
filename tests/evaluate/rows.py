"""Scored rows to evaluate: labels, and the answers of a made-up model."""

import numpy as np
import pyarrow as pa

PREDICTION = pa.struct(
    [
        ("label", pa.string()),
        ("score", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),
        ("error", pa.string()),
    ]
)


def predicted(classes, probabilities, errors=None):
    """Probabilities float32[N, K] -> the model's answers; a row with an error has no prediction."""
    answers = []
    for i, row in enumerate(probabilities):
        error = (errors or {}).get(i)
        best = int(np.argmax(row))
        answers.append(
            {"label": None, "score": None, "probabilities": None, "error": error}
            if error
            else {"label": classes[best], "score": float(row[best]), "probabilities": row.tolist(), "error": None}
        )
    return answers


def frame(spark, labels, answers, label="label", prediction="prediction"):
    columns = [pa.array(labels), pa.array(answers, PREDICTION)]
    return spark.createDataFrame(pa.Table.from_arrays(columns, names=[label, prediction]))


def random_rows(rows, classes, seed=0, sharpness=2.0):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, len(classes), rows)
    logits = rng.normal(size=(rows, len(classes)))
    logits[np.arange(rows), true] += sharpness
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return true, (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
