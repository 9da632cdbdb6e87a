"""Scenes and the meta of a made-up detector."""

from typing import Any

import numpy as np

from sparknn_magic.show.boxes import Box, Scene
from tests.show.conftest import meta_of

CLASSES = ["cat", "dog", "bird"]


def box(label: str, x: float, y: float, side: float = 40, score: float | None = None) -> Box:
    """Return a square box with its upper left corner at (x, y)."""
    return Box(label, x, y, x + side, y + side, score)


def scene(true: list[Box], predicted: list[Box], *, height: int = 240, width: int = 320, channels: int = 3) -> Scene:
    """Return boxes on a picture of soft stripes."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([(x + 40 * n + y // 2) % 256 for n in range(channels)], 2).astype(np.uint8)
    return Scene(pixels, true, predicted)


def metrics_of(classes: list[str] | None = None) -> dict[str, Any]:
    """Return the metrics of a detector; the last class has no boxes."""
    classes = CLASSES if classes is None else classes
    recalls = np.linspace(0, 1, 101)
    each = [
        {"label": name, "map": 0.5 + 0.1 * n, "map50": 0.8 + 0.05 * n, "boxes": 40 - n}
        for n, name in enumerate(classes[:-1])
    ]
    curves = {c["label"]: np.clip(1.2 - recalls**3 - 0.1 * n, 0, 1).tolist() for n, c in enumerate(each[:12])}
    return {
        "rows": 67,
        "errors": 1,
        "unknown_labels": 2,
        "map": 0.5512,
        "map50": 0.8213,
        "map75": 0.6034,
        "map_small": None,
        "map_medium": 0.5123,
        "map_large": 0.6311,
        "recall_100": 0.6502,
        "per_class": [*each, {"label": classes[-1], "map": None, "map50": None, "boxes": 0}],
        "curves": curves,
        "boxes": 79,
        "bad_boxes": 3,
        "unknown_boxes": 0,
    }


def detector_meta(classes: list[str] | None = None, epochs: int = 6) -> dict[str, Any]:
    """Return a whole meta dict."""
    classes = CLASSES if classes is None else classes
    meta = meta_of(classes, epochs)
    history = []
    for epoch in meta["training"]["history"]:
        kept = {key: value for key, value in epoch.items() if not key.endswith("accuracy")}
        history.append(kept | {"train_picture_ap50": None, "validation_picture_ap50": 0.1 * epoch["epoch"]})
    meta["training"] |= {"figure": "picture_ap50", "history": history}
    return meta | {
        "name": "shelf",
        "task": "object-detection",
        "input": {"height": 96, "width": 128, "channels": 3},
        "preprocess": [
            {"name": "letterbox", "ref": "sparknn_zoo.preprocess.letterbox:letterbox", "options": {"size": 128}}
        ],
        "metrics": metrics_of(classes),
        "detections": {"score": 0.01, "most": 100, "nms": 0.6},
        "parity": {
            "rows": 67,
            "detections": 812,
            "changed_decisions": 0,
            "max_difference": 2.4e-6,
            "max_box_difference": 1.2e-3,
            "map50_torch": 0.82,
            "map50_onnx": 0.82,
        },
        "boxes": {
            "boxes": 1234,
            "background": 12,
            "clipped": 5,
            "left": {"inverted": 2, "without area": 1},
            "dropped": 3,
            "example_clipped": "row 7: [-3, 2, 40, 50]",
            "example_left": "row 9: [50, 2, 40, 50]",
            "quantiles": [8.0, 20.0, 40.0, 60.0, 120.0],
        },
    }
