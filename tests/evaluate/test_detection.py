"""COCO's figures by the Spark job, against the library's own on the same boxes in COCO's files."""

import json
from dataclasses import replace

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from sparknn_magic.data.boxes.average_precision import BoxTable, coco_figures
from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.detection import detection_metrics
from sparknn_magic.infer.job import DETECTION
from tests.data.pictures import encode

CLASSES = ["cup", "box", "can"]
WIDTH, HEIGHT = 400, 320
PICTURE = bytearray(encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
SCHEMA = f"image binary, boxes array<array<double>>, labels array<string>, prediction {DETECTION}"


def meta(**data) -> dict:
    return {"classes": CLASSES, "spec": {"data": {"image": "image", **data}}}


def some_boxes(draw, count: int) -> np.ndarray:
    """Boxes of 4 to 220 pixels a side, in whole and half pixels: small, medium and large ones."""
    low = draw.uniform(0, (WIDTH - 5, HEIGHT - 5), (count, 2))
    high = np.minimum(low + np.exp(draw.uniform(np.log(4), np.log(220), (count, 2))), (WIDTH, HEIGHT))
    return np.round(np.concatenate([low, high], axis=1) * 2) / 2


def scenes(rows: int, seed: int = 0) -> list[tuple]:
    """True boxes and labels, and what a detector says: some of them shifted, some others, some missed."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(rows):
        true = some_boxes(draw, draw.integers(0, 6))
        labels = draw.choice(CLASSES, len(true))
        seen = draw.random(len(true)) < 0.8
        shifted = np.clip(true[seen] + draw.normal(0, 2, (seen.sum(), 4)), 0, (WIDTH, HEIGHT) * 2)
        shifted[:, 2:] = np.maximum(shifted[:, 2:], shifted[:, :2] + 1)
        guesses = np.concatenate([shifted, some_boxes(draw, draw.integers(0, 3))])
        names = np.concatenate([labels[seen], draw.choice(CLASSES, len(guesses) - len(shifted))])
        scores = draw.random(len(guesses)).astype(np.float32)
        objects = [
            (str(name), float(score), tuple(float(v) for v in box.astype(np.float32)))
            for name, score, box in zip(names, scores, guesses, strict=True)
        ]
        found.append((true.tolist(), labels.tolist(), objects))
    return found


def frame(spark, rows):
    return spark.createDataFrame([(PICTURE, boxes, labels, (objects, None)) for boxes, labels, objects in rows], SCHEMA)


def library(folder, rows):
    """What faster-coco-eval says of the two files of COCO's formats."""

    def xywh(box):
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]

    annotations, results = [], []
    for n, (boxes, labels, objects) in enumerate(rows, 1):
        for box, label in zip(boxes, labels, strict=True):
            x, y, w, h = xywh(box)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": n, "category_id": CLASSES.index(label) + 1}
                | {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
            )
        results += [
            {"image_id": n, "category_id": CLASSES.index(label) + 1, "bbox": xywh(box), "score": score}
            for label, score, box in objects
        ]
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES, 1)]
    images = [{"id": n, "width": WIDTH, "height": HEIGHT} for n in range(1, len(rows) + 1)]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    (folder / "results.json").write_text(json.dumps(results))
    truth = COCO(str(folder / "instances.json"))
    judged = COCOeval_faster(truth, truth.loadRes(str(folder / "results.json")), "bbox")
    judged.run()
    return judged


def test_every_figure_is_the_librarys_on_the_same_files(spark, tmp_path):
    rows = scenes(60)
    ours, theirs = detection_metrics(frame(spark, rows).repartition(3), meta()), library(tmp_path, rows)
    names = {
        "map": "AP_all",
        "map50": "AP_50",
        "map75": "AP_75",
        "map_small": "AP_small",
        "map_medium": "AP_medium",
        "map_large": "AP_large",
        "recall_100": "AR_third",
    }
    for name, key in names.items():
        assert ours[name] == pytest.approx(theirs.stats_as_dict[key], abs=1e-12), name
    assert 0.1 < ours["map"] < ours["map50"] < 0.95
    precision = theirs.eval["precision"][:, :, :, 0, 2]
    for k, each in enumerate(ours["per_class"]):
        assert each["label"] == CLASSES[k]
        assert each["map"] == pytest.approx(precision[:, :, k].mean(), abs=1e-12)
        assert each["map50"] == pytest.approx(precision[0, :, k].mean(), abs=1e-12)
        assert each["boxes"] == sum(labels.count(CLASSES[k]) for _, labels, _ in rows)
        assert ours["curves"][CLASSES[k]] == pytest.approx(precision[0, :, k].tolist(), abs=1e-6)
        assert len(ours["curves"][CLASSES[k]]) == 101
    assert ours["boxes"] == sum(len(boxes) for boxes, _, _ in rows)
    assert (ours["rows"], ours["errors"], ours["unknown_labels"]) == (60, 0, 0)
    json.dumps(ours)


def test_an_average_precision_by_hand():
    def table(picture, box, score=None):
        count = len(picture)
        return BoxTable(
            np.array(picture, np.int64),
            np.zeros(count, np.int64),
            np.array(box, float).reshape(-1, 4),
            None if score is None else np.array(score),
        )

    true = table([0, 0, 1], [[0, 0, 10, 10], [50, 50, 90, 90], [0, 0, 200, 100]])
    found = table([0, 0, 1], [[0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 200, 100]], [0.9, 0.8, 0.7])
    ours = coco_figures(2, true, found, ["cup", "box"])
    # Precision 1 up to a recall of 1/3 (34 of 101 places), 2/3 up to 2/3 (33 of them), then nothing.
    assert [ours["map50"], ours["map"]] == pytest.approx([(34 + 33 * 2 / 3) / 101] * 2)
    assert ours["recall_100"] == pytest.approx(2 / 3)
    assert (ours["map_small"], ours["map_large"]) == (1.0, 1.0)
    assert ours["map_medium"] == 0.0
    assert ours["per_class"][1] == {"label": "box", "map": None, "map50": None, "boxes": 0}
    assert list(ours["curves"]) == ["cup"]
    nothing = coco_figures(2, true, table([], [], []), ["cup"])
    assert (nothing["map"], nothing["recall_100"], nothing["boxes"]) == (0.0, 0.0, 3)
    many = table([0] * 150, [[20 * n, 0, 20 * n + 9, 9] for n in range(150)], [0.9] * 150)
    assert coco_figures(1, many, many, ["cup"])["recall_100"] == pytest.approx(100 / 150)
    two = replace(many, label=np.arange(150) % 2)
    assert coco_figures(1, two, two, ["cup", "box"])["recall_100"] == pytest.approx(1)  # 75 of each class
    background = coco_figures(2, table([], []), found, ["cup"])
    assert (background["map"], background["map_small"], background["boxes"]) == (None, None, 0)


def test_boxes_are_read_by_the_rules_of_training_and_what_does_not_count_is_told(spark):
    whole = [("cup", 0.9, (40.0, 32.0, 200.0, 160.0))]
    share = [0.1, 0.1, 0.4, 0.4]  # left, top, width, height in shares of 400 x 320
    rows = [
        (PICTURE, [share], ["cup"], (whole, None)),
        (PICTURE, None, None, ([], None)),
        (PICTURE, [], [], ([], None)),
        (PICTURE, [share, share], ["lid", "cup"], (whole, None)),
        (PICTURE, [share, [0.5, 0.5, -0.1, 0.1], [0.9, 0.9, 0.3, 0.05]], ["cup", "cup", "box"], (whole, None)),
        (PICTURE, [share], ["cup", "box"], (whole, None)),
        (bytearray(b"text"), [share], ["cup"], (None, "not an image")),
    ]
    ours = detection_metrics(spark.createDataFrame(rows, SCHEMA), meta(format="xywh", units="fractions"))
    assert (ours["rows"], ours["errors"], ours["unknown_labels"]) == (5, 1, 1)
    assert (ours["boxes"], ours["bad_boxes"], ours["unknown_boxes"]) == (4, 2, 1)
    assert ours["per_class"][0] == {"label": "cup", "map": 1.0, "map50": 1.0, "boxes": 3}
    assert ours["per_class"][1] == {"label": "box", "map": 0.0, "map50": 0.0, "boxes": 1}
    with pytest.raises(DataError, match=r"2 boxes are bad, one of them \[0.5, 0.5, -0.1, 0.1\] in a picture"):
        detection_metrics(
            spark.createDataFrame(rows[:5], SCHEMA), meta(format="xywh", units="fractions", bad_boxes="fail")
        )
    with pytest.raises(
        DataError, match=r"none of the 2 rows can be evaluated: 1 have no prediction \(not an image\), a"
    ):
        detection_metrics(spark.createDataFrame(rows[5:], SCHEMA), meta())
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        detection_metrics(spark.createDataFrame([], SCHEMA), meta())


def test_columns_and_predictions_of_other_models_are_refused(spark):
    one = frame(spark, [([[0.0, 0.0, 9.0, 9.0]], ["cup"], [("lid", 0.5, (0.0, 0.0, 9.0, 9.0))])])
    with pytest.raises(DataError, match="1 predictions, 'lid' for one, are not among the 3 classes"):
        detection_metrics(one, meta())
    with pytest.raises(DataError, match="it has no objects"):
        detection_metrics(one.withColumn("prediction", one.labels), meta())
    with pytest.raises(DataError, match=r"there is no column 'box'. Did you mean 'boxes'"):
        detection_metrics(one, meta(boxes="box"))
