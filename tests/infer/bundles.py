"""A model folder of a detector that always sees the same places, without any training."""

from pathlib import Path
from typing import Any

from sparknn_magic.bundle.folder import MODEL, write_meta
from sparknn_magic.export.detections import Detector, Rules, export_detector
from sparknn_magic.training.network import Pixels
from tests.export.detectors import Given

CLASSES = ["cup", "box", "can"]
BOXES = [[8.0, 8, 24, 24], [4, 0, 20, 6], [-4, 12, 10, 20]]  # of 32x32; the scores are red, green and blue


def write_detector(folder: Path, **data: Any) -> Path:
    """Write the folder; pictures are letterboxed to 32x32."""
    folder.mkdir()
    model = Detector(Pixels(mean=[0.0] * 3, std=[1.0] * 3), Given(BOXES)).eval()
    export_detector(model, (32, 32, 3), folder / MODEL, {"name": "seen"}, Rules())
    step = {
        "name": "letterbox",
        "ref": "sparknn_zoo.preprocess.letterbox:letterbox",
        "options": {"size": 32, "fill": 0},
    }
    write_meta(
        folder,
        {
            "name": "seen",
            "task": "object-detection",
            "spec": {"data": {"image": "image", **data}},
            "classes": CLASSES,
            "input": {"height": 32, "width": 32, "channels": 3},
            "preprocess": [step],
        },
    )
    return folder
