"""Tables of counts, true class by predicted class, and by score -> the metrics dict. Numpy only, no Spark."""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # of the calibration error, as in Guo et al. 2017
FINE_BINS = 100 * BINS  # that Spark counts; a hundred of them make one of the others
MOST_POINTS = 50  # of the curve of coverage


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
    precision, recall = ratio(hits, predicted), ratio(hits, support)
    f1 = ratio(2 * hits, support + predicted)
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
        "weighted": {name: average(values, support) for name, values in each.items()},
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


def from_scores(
    bins: np.ndarray, n: np.ndarray, hits: np.ndarray, score_sum: np.ndarray, lowest: np.ndarray
) -> dict[str, Any]:
    """Return how well scores, probabilities of the predicted class, agree with how often it is the true one.

    A place of the arrays for each bin that has rows: its number from 1 to 1,500, where bin b is above (b - 1) / 1500
    and up to b / 1500; its rows, how many of them are right, the sum of their scores, and the lowest of these.

    - `calibration_error`: the mean gap between score and accuracy over 15 bins of equal width, each weighted by its
      rows, 0 to 1.
    - `reliability`: of each of the 15 that has rows `above`, `to`, `rows`, the mean `score` and the `accuracy`.
    - `coverage`: at most 50 points, from all rows to the few surest: where rows with a score below `threshold` get no
      answer, `coverage` is the share of rows that do, and `accuracy` theirs.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, equation 3;
    Geifman and El-Yaniv 2017, Selective Classification for Deep Neural Networks, arXiv:1705.08500.
    """
    order = np.argsort(bins)
    bins, n, hits, score_sum, lowest = (
        np.asarray(values)[order].astype(np.float64) for values in (bins, n, hits, score_sum, lowest)
    )
    wide = np.ceil(bins * BINS / FINE_BINS).astype(int)
    rows, right, score = (np.bincount(wide, values, BINS + 1)[1:] for values in (n, hits, score_sum))
    return {
        "calibration_error": float(np.abs(right - score).sum() / rows.sum()),
        "reliability": [
            {
                "above": b / BINS,
                "to": (b + 1) / BINS,
                "rows": int(rows[b]),
                "score": float(score[b] / rows[b]),
                "accuracy": float(right[b] / rows[b]),
            }
            for b in np.flatnonzero(rows)
        ],
        "coverage": _coverage(n, hits, lowest),
    }


def _coverage(n: np.ndarray, hits: np.ndarray, lowest: np.ndarray) -> list[dict[str, float]]:
    """Return the points of the curve, by falling coverage; bins ascending."""
    kept, right = np.cumsum(n[::-1])[::-1], np.cumsum(hits[::-1])[::-1]
    share = kept / kept[0]
    # Of each fiftieth of the coverage the point that reaches it.
    wanted = np.arange(MOST_POINTS, 0, -1) / MOST_POINTS
    points = {int(np.flatnonzero(share >= each - 1e-12)[-1]): None for each in wanted}
    return [
        {"threshold": float(lowest[i]), "coverage": float(share[i]), "accuracy": float(right[i] / kept[i])}
        for i in points
    ]


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros(len(above)), where=below != 0)


def average(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean, and 0 where the weights are all 0."""
    total = weights.sum()
    return float(values @ weights / total) if total else 0.0
