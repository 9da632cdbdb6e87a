"""A table of counts, true class by predicted class -> the metrics dict. Numpy only, no Spark."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def from_confusion(
    confusion: np.ndarray,
    classes: Sequence[str],
    *,
    log_loss_sum: float,
    top5_hits: int,
    errors: int = 0,
    unknown_labels: int = 0,
) -> dict[str, Any]:
    """Return the metrics of a confusion matrix int64[K, K] (rows: true, columns: predicted, at least one row counted).

    All K classes enter the macro average, those without a row too; a figure whose denominator is 0 is 0, as
    scikit-learn's `zero_division=0` has it. `log_loss_sum` is in nats, over all the rows counted.
    """
    rows = int(confusion.sum())
    hits = np.diag(confusion).astype(np.float64)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, predicted), _ratio(hits, support)
    f1 = _ratio(2 * hits, support + predicted)
    each = {"precision": precision, "recall": recall, "f1": f1}
    return {
        "rows": rows,
        "errors": int(errors),
        "unknown_labels": int(unknown_labels),
        "accuracy": float(hits.sum() / rows),
        "top5_accuracy": top5_hits / rows if len(classes) > 5 else None,
        "log_loss": log_loss_sum / rows,
        "baseline_accuracy": float(support.max() / rows),
        "macro": {name: float(values.mean()) for name, values in each.items()},
        "weighted": {name: float(values @ support / rows) for name, values in each.items()},
        "per_class": [
            {
                "label": label,
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(classes)
        ],
        "confusion": [[int(n) for n in row] for row in confusion],
    }


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros(len(above)), where=below != 0)
