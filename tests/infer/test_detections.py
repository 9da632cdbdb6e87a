"""Boxes of a detector's file -> objects in the user's own pictures, without Spark: steps undone, bad rows told."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from sparknn_magic.data.boxes.reader import PlacedBatch, scene_reader
from sparknn_magic.errors import InferenceError
from sparknn_magic.export.detections import Detector, Rules, export_detector
from sparknn_magic.infer.detections import detection_writer, undone
from sparknn_magic.infer.job import DETECTED, DETECTION, InferJob
from sparknn_magic.infer.worker import NO_NUMBER, predict
from sparknn_magic.plugin import Part
from sparknn_magic.training.network import Pixels
from tests.data.pictures import encode, save
from tests.data.test_read_encoded import bomb
from tests.export.detectors import Given

CLASSES = ["cup", "box", "can"]
# Of 32x32: the red one, one in the upper bar of a letterboxed wide picture, one across its left edge.
BOXES = [[8.0, 8, 24, 24], [4, 0, 20, 6], [-4, 12, 10, 20]]
LETTERBOX = Part("sparknn_zoo.preprocess.letterbox:letterbox", {"size": 32, "fill": 0})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    model = Detector(Pixels(mean=[0.0] * 3, std=[1.0] * 3), Given(BOXES)).eval()
    export_detector(model, (32, 32, 3), path, {"name": "m"}, Rules())
    return path


def job(file, steps=(LETTERBOX,), **changed) -> InferJob:
    options = {"steps": list(steps), "height": 32, "width": 32, "channels": 3, "shape": None}
    return InferJob(
        digest=hashlib.sha256(file.read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.boxes.reader:scene_reader", options),
        write=Part("sparknn_magic.infer.detections:detection_writer", {"classes": CLASSES}),
        result=DETECTION,
        outputs=DETECTED,
        **changed,
    )


def score(file, values, *more, **changed) -> list[dict]:
    columns = (values if isinstance(values, pa.Array) else pa.array(values, pa.binary()), *more)
    (found,) = predict(iter([columns]), job(file, **changed), str(file))
    return found.to_pylist()


def painted(red: int, green: int, blue: int, width: int = 64, height: int = 32) -> bytes:
    return encode(np.full((height, width, 3), (red, green, blue), np.uint8))


def of(row) -> list[tuple]:
    return [(each["label"], [round(v, 3) for v in each["box"].values()]) for each in row["objects"]]


def test_a_letterbox_is_undone_and_what_lies_in_its_bars_is_left_out(file):
    (row,) = score(file, [painted(255, 240, 230)])
    # 64x32 is scaled by a half to 32x16, with bars of 8 above and below.
    assert of(row) == [("cup", [16, 0, 48, 32]), ("can", [0, 8, 20, 24])]
    assert row["objects"][0]["score"] == pytest.approx(0.5)
    assert row["error"] is None


def test_steps_are_undone_one_after_the_other(file):
    steps = [
        Part("sparknn_zoo.preprocess.center_crop:center_crop", {"size": [64, 96]}),
        Part("sparknn_zoo.preprocess.resize:resize", {"size": [32, 32]}),
    ]
    (row,) = score(file, [painted(255, 0, 0, width=100, height=80)], steps=steps)
    # 2 pixels are cut at the left and 8 above; then x is scaled by 1/3 and y by 1/2.
    assert of(row) == [("cup", [8 * 3 + 2, 8 * 2 + 8, 24 * 3 + 2, 24 * 2 + 8])]


def test_pictures_that_need_no_step_keep_their_coordinates(file):
    pixels = np.full((2, 32, 32, 3), 255, np.uint8)
    encoded = score(file, [encode(each) for each in pixels], steps=())
    flat = pa.array([each.ravel().tolist() for each in pixels], pa.list_(pa.int32()))
    options = {"height": 32, "width": 32, "channels": 3, "shape": (32, 32, 3)}
    assert scene_reader(**options)(flat).place.tolist() == [[1, 1, 0, 0, 32, 32]] * 2
    assert of(encoded[0]) == [("cup", BOXES[0]), ("box", BOXES[1]), ("can", [0, 12, 10, 20])]


def test_boxes_are_those_of_the_upright_picture(file):
    turned = save(Image.new("RGB", (32, 64), (255, 240, 230)), "JPEG", quality=100, exif=_orientation(6))
    (row,) = score(file, [turned])
    assert of(row) == [("cup", [16, 0, 48, 32]), ("can", [0, 8, 20, 24])]


def _orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def test_a_second_argument_leaves_out_objects_with_a_lower_score(file):
    picture = painted(255, 0, 128, width=32)
    least = pa.array([None, 0.0, 0.4, 0.6, 1.0])
    rows = score(file, [picture] * 5, least)
    assert [[each["label"] for each in row["objects"]] for row in rows] == [
        ["cup", "can"],
        ["cup", "can"],
        ["cup", "can"],
        ["cup"],
        ["cup"],
    ]
    for given, words in ((["high"], "string"), ([50], "50"), ([0.5, float("nan")], "nan")):
        with pytest.raises(InferenceError, match=f"a number from 0 to 1, not {words}"):
            score(file, [picture] * len(given), pa.array(given))


def test_bad_pictures_have_a_reason_and_harm_no_other(file):
    good = painted(255, 0, 0)
    rows = score(file, [good, None, b"", b"text", good[:60], bomb(8001), good])
    assert [row["error"] for row in rows] == [
        None,
        "null",
        "empty",
        "not an image (JPEG, PNG, WebP, BMP or GIF)",
        "truncated PNG image",
        "larger than 64 megapixels",
        None,
    ]
    assert [row["objects"] is None for row in rows] == [row["error"] is not None for row in rows]
    assert of(rows[0]) == of(rows[-1]) == [("cup", [16, 0, 48, 32])]
    with pytest.raises(InferenceError, match="a row cannot be scored: null"):
        score(file, [good, None], mode="failfast")


def test_a_picture_without_objects_has_an_empty_list(file):
    rows = score(file, [painted(0, 0, 0, width=32), painted(255, 0, 0)], steps=(LETTERBOX,))
    assert [len(row["objects"]) for row in rows] == [0, 1]


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_order_of_rows_and_the_types_do_not_hang_on_batches(file, batch_size):
    values = [painted(255, 0, 0, width=32 + 2 * n) if n % 3 else None for n in range(11)]
    (found,) = predict(iter([(pa.array(values, pa.binary()),)]), job(file, batch_size=batch_size), str(file))
    for n, row in enumerate(found.to_pylist()):
        assert (row["objects"] is None) == (n % 3 == 0)
        if n % 3:
            (only,) = row["objects"]
            assert 0 <= only["box"]["x1"] < only["box"]["x2"] <= 32 + 2 * n
    (empty,) = predict(iter([(pa.array([], pa.binary()),)]), job(file), str(file))
    assert empty.type == found.type
    assert len(empty) == 0


def test_a_score_or_box_that_is_no_number_is_the_rows_reason():
    gather = detection_writer(classes=CLASSES).begin()
    batch = PlacedBatch(np.zeros((3, 32, 32, 3), np.uint8), np.tile(np.float32([1, 1, 0, 0, 32, 32]), (3, 1)))
    boxes = np.tile(np.float32([0, 0, 9, 9]), (3, 2, 1))
    scores = np.full((3, 2), 0.5, np.float32)
    scores[0] = np.nan
    boxes[2, 0, 1] = np.inf
    outputs = {"boxes": boxes, "scores": scores, "labels": np.zeros((3, 2), np.int64), "count": np.array([0, 1, 2])}
    errors: list[str | None] = [None] * 3
    gather.take(np.arange(3), batch, outputs, errors)
    found = gather.finish(errors).to_pylist()
    assert errors == [NO_NUMBER, None, NO_NUMBER]
    assert [row["objects"] and len(row["objects"]) for row in found] == [None, 1, None]


def test_places_are_undone_within_rounding_for_any_picture():
    draw = np.random.default_rng(0)
    place = np.stack(
        [*draw.uniform(0.05, 3, (2, 50)), *draw.uniform(-40, 40, (2, 50)), *draw.uniform(50, 4000, (2, 50))]
    )
    corner = draw.uniform(0, 1, (50, 2)) * place[4:].T * 0.5
    boxes = np.concatenate([corner, corner + draw.uniform(1, 20, (50, 2))], axis=1)
    moved = boxes * place[[0, 1, 0, 1]].T + place[[2, 3, 2, 3]].T
    np.testing.assert_allclose(undone(moved.astype(np.float32), place.T.astype(np.float32)), boxes, atol=0.02)
