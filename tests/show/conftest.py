"""The meta dicts of bundles, as `bundle.json` has them: input data for what shows them."""

from typing import Any

import numpy as np
import pytest

from sparknn_magic.evaluate.metrics import from_scores

FASHION = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>"
STRANGE = [
    HOSTILE,
    "$x^2$ & $\\frac",
    "`a` | **b**",
    "two\nlines",
    "猫と犬",
    "قميص",
    "👟 shoe",
    "x" * 300,
    "",
    "# title",
]


def metrics_of(classes: list[str], rows: int = 2000, right: float = 0.9, seed: int = 0) -> dict[str, Any]:
    """Return the metrics of a made-up model that is right in about `right` of the rows."""
    rng, k = np.random.default_rng(seed), len(classes)
    true = rng.integers(0, k, rows)
    near = np.clip(true + rng.integers(-2, 3, rows), 0, k - 1)
    guess = np.where(rng.random(rows) < right, true, near)
    confusion = np.zeros((k, k), int)
    np.add.at(confusion, (true, guess), 1)
    hits, support, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = hits / np.maximum(said, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + said, 1)
    hit = guess == true
    scores = np.where(hit, rng.beta(9, 1, rows), rng.beta(3, 2, rows))
    bins, at, n = np.unique(np.ceil(scores * 1500), return_inverse=True, return_counts=True)
    sums, sure = (np.bincount(at, values) for values in (scores, hit))
    each = {"precision": precision, "recall": recall, "f1": f1}
    return {
        "rows": rows,
        "errors": 3,
        "unknown_labels": 2,
        "accuracy": float(hits.sum() / rows),
        "top5_accuracy": 0.9987 if k > 5 else None,
        "log_loss": 0.2731,
        "baseline_accuracy": float(support.max() / rows),
        "macro": {name: float(v.mean()) for name, v in each.items()},
        "weighted": {name: float(v @ support / rows) for name, v in each.items()},
        "per_class": [
            {"label": c, "support": int(support[i]), **{name: float(v[i]) for name, v in each.items()}}
            for i, c in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        **from_scores(bins, n, sure, sums, sums / n),
    }


def label_metrics_of(classes: list[str], rows: int = 2000, right: float = 0.9, seed: int = 0) -> dict[str, Any]:
    """Return the metrics of a made-up model whose rows have any number of labels."""
    made = metrics_of(classes, rows, right, seed)
    kept = {k: made[k] for k in ("rows", "errors", "unknown_labels", "accuracy", "baseline_accuracy", "log_loss")}
    return kept | {
        "hamming_loss": 0.0312,
        "micro": {"precision": 0.91, "recall": 0.83, "f1": 0.868},
        **{name: made[name] for name in ("macro", "weighted", "per_class")},
    }


def history_of(epochs: int, *, validated: bool = True) -> list[dict[str, Any]]:
    """Return the epoch dicts of a run that learns, then overfits a little."""
    made = []
    for e in range(1, epochs + 1):
        train, held = 0.15 + 1.1 * 0.72**e, 0.27 + 0.9 * 0.68**e + 0.004 * max(0, e - 7)
        made.append(
            {
                "epoch": e,
                "train_loss": train,
                "train_accuracy": 1 - train * 0.36,
                "validation_loss": held if validated else None,
                "validation_accuracy": 1 - held * 0.34 if validated else None,
                "learning_rate": 1e-3,
                "seconds": 11.4,
                "rows_per_second": 8123.0,
            }
        )
    return made


def meta_of(classes: list[str] | None = None, epochs: int = 10, *, validated: bool = True) -> dict[str, Any]:
    """Return a whole meta dict."""
    classes = FASHION if classes is None else classes
    model = {"name": "resnet8", "ref": "sparknn_zoo.vision.resnet_cifar:resnet8", "options": {"width": 16}}
    return {
        "format": 1,
        "name": "fashion",
        "task": "image-classification",
        "created": "2026-05-04T10:11:12+00:00",
        "spec": {
            "task": "image-classification",
            "data": {
                "train": "SELECT image, label FROM fashion_mnist",
                "validation": "10%",
                "test": "fashion_mnist_test",
            },
            "preprocess": [{"resize": {"size": 28}}],
            "augment": ["random_horizontal_flip", {"random_crop": {"padding": 2}}],
            "model": {"resnet8": {"width": 16}},
            "train": {"epochs": epochs, "batch_size": 256, "optimizer": {"adamw": {"lr": 0.001}}, "workers": 2},
            "export": "models/fashion",
        },
        "classes": classes,
        "input": {"height": 28, "width": 28, "channels": 1},
        "preprocess": [
            {"name": "resize", "ref": "sparknn_zoo.preprocess.resize:resize", "options": {"size": 28}},
            {"name": "grayscale", "ref": "sparknn_zoo.preprocess.grayscale:grayscale", "options": {}},
        ],
        "statistics": {"mean": [0.2860], "std": [0.3530]},
        "model": {
            **model,
            "parameters": 77850,
            "source": "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385",
            "licence": "Apache-2.0",
        },
        "opset": 18,
        "size_bytes": 321456,
        "training": {
            "epochs": epochs,
            "best_epoch": min(7, epochs),
            "seconds": 11.4 * epochs,
            "rows_per_second": 8123.4,
            "workers": 2,
            "device": "cpu",
            "precision": "float32",
            "seed": 1,
            "batch_size": 256,
            "history": history_of(epochs, validated=validated),
        },
        "rows": {
            "train": 9000,
            "validation": 1000,
            "test": 2000,
            "dropped": [{"reason": "the file is cut short", "rows": 4}, {"reason": "label is null", "rows": 1}],
        },
        "metrics": metrics_of(classes),
        "evaluated_on": "test",
        "parity": {
            "rows": 1000,
            "max_difference": 2.4e-7,
            "changed_decisions": 0,
            "accuracy_torch": 0.912,
            "accuracy_onnx": 0.912,
        },
        "versions": {"sparknn-magic": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.31.1", "pyspark": "4.3.0"},
        "files": {"model.onnx": "ab12" * 16, "model.safetensors": "cd34" * 16},
    }


COLUMNS = [
    {"name": "age", "kind": "number", "type": "int", "width": 1},
    {"name": "pay per hour", "kind": "number", "type": "float", "width": 1},
    {"name": "job", "kind": "category", "type": "string", "width": 0},
    {"name": "tests", "kind": "array", "type": "array<double>", "width": 3},
]


def number_metrics_of(rows: int = 500) -> dict[str, Any]:
    """Return the metrics of a model of numbers."""
    return {
        "rows": rows,
        "errors": 3,
        "unknown_labels": 2,
        "mse": 2735.04,
        "rmse": 52.2976,
        "mae": 41.61,
        "median_absolute_error": 35.2,
        "mean_error": -0.7321,
        "r2": 0.5123,
        "baseline": 152.13,
        "baseline_rmse": 76.9,
        "baseline_mae": 66.04,
    }


def columns_meta_of(classes: list[str] | None = None, epochs: int = 10, *, validated: bool = True) -> dict[str, Any]:
    """Return a whole meta dict of a model of columns: of classes, or without them of numbers."""
    meta = meta_of(classes or ["none"], epochs, validated=validated)
    task = "vector-classification" if classes else "vector-regression"
    meta |= {
        "name": "wages",
        "task": task,
        "classes": classes or [],
        "input": {"numbers": 5, "categories": [4], "embedded": [0]},
        "features": [dict(each) for each in COLUMNS],
        "categories": [["it's", "nurse", "cook"]],
        "preprocess": [
            {
                "name": "fill_nulls",
                "ref": "sparknn_zoo.preprocess.fill_nulls:fill_nulls",
                "options": {"with": "median"},
            },
            {"name": "standardize", "ref": "sparknn_zoo.preprocess.standardize:standardize", "options": {}},
        ],
        "spec": {"task": task, "data": {"train": "wages", "label": "pay"}, "model": "mlp"},
        "model": meta["model"] | {"name": "mlp", "options": {"width": 64}, "source": "Rumelhart et al. 1986"},
    }
    del meta["statistics"]
    if not classes:
        meta["statistics"] = {"mean": 152.13, "std": 77.1}
        meta["metrics"] = number_metrics_of()
        meta["parity"] = {"rows": 512, "max_difference": 3.1e-7, "mae_torch": 41.6, "mae_onnx": 41.6}
        meta["training"]["figure"] = "mae"
        meta["training"]["history"] = in_mae(meta["training"]["history"])
    return meta


def in_mae(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return epoch dicts with a mean absolute error in place of the accuracy."""
    made = []
    for each in history:
        kept = {key: value for key, value in each.items() if not key.endswith("accuracy")}
        held = each["validation_loss"]
        made.append(
            kept | {"train_mae": 70 * each["train_loss"], "validation_mae": None if held is None else 72 * held}
        )
    return made


@pytest.fixture
def make_columns_meta():
    """The function that makes a meta dict of a model of columns: `make_columns_meta(classes, epochs, validated=)`."""
    return columns_meta_of


@pytest.fixture
def make_meta():
    """The function that makes a meta dict: `make_meta(classes, epochs, validated=)`."""
    return meta_of


@pytest.fixture
def make_metrics():
    """The function that makes a metrics dict: `make_metrics(classes, rows, right, seed)`."""
    return metrics_of


@pytest.fixture
def make_label_metrics():
    """The function that makes the metrics of rows with any number of labels, as `make_metrics` does."""
    return label_metrics_of


@pytest.fixture
def make_history():
    """The function that makes epoch dicts: `make_history(epochs, validated=)`."""
    return history_of


@pytest.fixture
def strange():
    """Ten class names that are no plain words."""
    return list(STRANGE)
