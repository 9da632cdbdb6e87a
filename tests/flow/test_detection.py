"""Detection from rows to SQL: pictures with boxes, a tiny network, a model folder, a report, boxes where they were."""

import io
import json
import re

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image
from safetensors.torch import load_file

import sparknn_magic
from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import DetectionInputs
from sparknn_magic.run import dry_run
from sparknn_magic.show.card import code_block
from sparknn_magic.show.text import metrics_table, plan_text
from sparknn_magic.training.picture_ap import overlap
from tests.data.pictures import encode

CELL = """\
task: object-detection
data:
  train: scenes
  validation: 20%
  test: scenes_test
preprocess:
- letterbox: 64
augment:
- random_horizontal_flip
model:
  centernet: {width: 8, channels: 24, stride: 4}
train:
  epochs: 14
  batch_size: 8
  optimizer: {adamw: {lr: 5e-3}}
  workers: 1
"""
COLOURS = {"brick": (220, 60, 40), "leaf": (40, 200, 80)}
SCHEMA = "id int, image binary, boxes array<array<float>>, labels array<string>"


def scene(draw) -> tuple[bytes, list, list]:
    """A wide picture of noise with up to three plain rectangles, each in a third of its own."""
    pixels = draw.integers(70, 130, (64, 96, 3), np.uint8)
    boxes, labels = [], []
    for third in range(3):
        if draw.random() < 0.7:
            width, height = draw.integers(14, 28, 2)
            left, top = 32 * third + draw.integers(0, 32 - width), draw.integers(0, 64 - height)
            labels.append(str(draw.choice(list(COLOURS))))
            pixels[top : top + height, left : left + width] = COLOURS[labels[-1]]
            boxes.append([float(v) for v in (left, top, left + width, top + height)])
    return encode(pixels), boxes, labels


def rows(count: int, seed: int) -> list[tuple]:
    draw = np.random.default_rng(seed)
    return [(n, *scene(draw)) for n in range(count)]


@pytest.fixture(scope="module")
def scenes(spark):
    frames = []
    for name, count, seed in (("scenes", 90, 0), ("scenes_test", 24, 1)):
        values = [(n, bytearray(image), boxes, labels) for n, image, boxes, labels in rows(count, seed)]
        frames.append(spark.createDataFrame(values, SCHEMA).persist())
        frames[-1].createOrReplaceTempView(name)
    yield frames
    for frame in frames:
        frame.unpersist()


@pytest.fixture(scope="module")
def shapes(spark, scenes, tmp_path_factory):
    home = tmp_path_factory.mktemp("detection")
    cell = CELL + f"export: {home / 'shapes'}\n"
    return sparknn_magic.train(cell, name="shapes", spark=spark, runs=home / "runs", on_event=lambda event: None)


def test_objects_are_learnt_and_both_engines_agree(shapes):
    metrics, parity = shapes.metrics, shapes.meta["parity"]
    assert metrics["map50"] > 0.7
    assert metrics["map50"] > metrics["map"] > 0.2
    assert [each["label"] for each in metrics["per_class"]] == ["brick", "leaf"] == shapes.classes
    assert sum(each["boxes"] for each in metrics["per_class"]) == metrics["boxes"] > 30
    assert (metrics["rows"], metrics["errors"], metrics["unknown_labels"]) == (24, 0, 0)
    assert (parity["changed_decisions"], parity["rows"]) == (0, shapes.meta["rows"]["validation"])
    assert parity["detections"] > parity["rows"]
    assert parity["max_difference"] < 1e-4
    assert parity["map50_torch"] == pytest.approx(parity["map50_onnx"], abs=1e-6)
    assert shapes.meta["detections"] == {"score": 0.01, "most": 100, "nms": None}
    assert shapes.history[-1]["validation_picture_ap50"] > 0.5


def test_sql_gives_boxes_in_the_picture_as_it_came(spark, scenes, shapes):
    query = "SELECT boxes, labels, shapes(image) AS p, shapes(image, 0.3) AS q FROM scenes_test"
    found = 0
    for row in spark.sql(query).collect():
        assert row.p.error is None
        objects = row.p.objects
        assert [each.score for each in objects] == sorted((each.score for each in objects), reverse=True)
        assert [each for each in objects if each.score >= 0.3] == row.q.objects
        boxes = np.array([tuple(each.box) for each in row.q.objects]).reshape(-1, 4)
        # The letterbox had scaled the picture by 2/3 and put 10 pixels above it.
        assert (boxes >= 0).all()
        assert (boxes <= (96, 64, 96, 64)).all()
        for box, label in zip(row.boxes, row.labels, strict=True):
            common = overlap(np.array([box]), boxes)[0]
            right = [n for n, each in enumerate(row.q.objects) if common[n] > 0.5 and each.label == label]
            found += bool(right)
    assert found > 0.7 * shapes.metrics["boxes"]


def test_the_card_s_own_code_finds_the_same_boxes_in_the_photo(spark, scenes, shapes, tmp_path, monkeypatch, capsys):
    turned = Image.open(io.BytesIO(rows(1, 5)[0][1])).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "photo.png", exif=exif)
    photo = tmp_path / "photo.png"
    code = code_block((shapes.folder / "README.md").read_text())
    code = code.replace('Image.new("RGB", (640, 480), "white")', f"Image.open({str(photo)!r})", 1)
    monkeypatch.chdir(shapes.folder)
    exec(compile(code, "card", "exec"), {})
    frame = spark.createDataFrame([(bytearray(photo.read_bytes()),)], "image binary")
    (row,) = frame.selectExpr("shapes(image, 0.5).objects AS objects").collect()
    number, *lines = capsys.readouterr().out.splitlines()
    assert number == f"{len(row.objects)} objects"
    assert len(row.objects) >= 1
    for line, each in zip(lines, row.objects, strict=True):
        label, score, box = line.split(" ", 2)
        assert (label, float(score)) == (each.label, pytest.approx(each.score, abs=1e-3))
        assert json.loads(box) == pytest.approx(list(each.box), abs=0.1)


def test_bad_pictures_have_their_reason_and_streams_are_scored_too(spark, scenes, shapes, tmp_path):
    values = [(0, None), (1, bytearray(b"text")), (2, bytearray(rows(1, 0)[0][1]))]
    found = shapes.predict(spark.createDataFrame(values, "id int, image binary")).orderBy("id").collect()
    with pytest.raises(SparkNNError, match="a row as a whole has no features"):
        shapes.embed(scenes[1])
    assert [row.prediction.error for row in found] == ["null", "not an image (JPEG, PNG, WebP, BMP or GIF)", None]
    assert [row.prediction.objects is None for row in found] == [True, True, False]
    scenes[1].select("id", "image").coalesce(1).write.parquet(str(tmp_path / "in"))
    spark.readStream.schema("id int, image binary").parquet(str(tmp_path / "in")).createOrReplaceTempView("arriving")
    shapes.stream("SELECT * FROM arriving WHERE id < 5", f"{tmp_path}/out", once=True).wait()
    written = spark.read.parquet(f"{tmp_path}/out").orderBy("id").collect()
    expected = shapes.predict(scenes[1].where("id < 5")).orderBy("id").collect()
    assert [(row.id, row.prediction) for row in written] == [(row.id, row.prediction) for row in expected]
    query = spark.sql("SELECT id, shapes(image) AS prediction FROM arriving WHERE id < 5").writeStream
    query.format("memory").queryName("by_sql").trigger(availableNow=True).start().awaitTermination()
    by_sql = spark.table("by_sql").orderBy("id").collect()
    assert [(row.id, row.prediction) for row in by_sql] == [(row.id, row.prediction) for row in expected]


def test_a_look_draws_boxes_on_the_pictures(spark, scenes, shapes):
    found = sparknn_magic.look(shapes, scenes[1].select("id", "image"), count=4)
    assert re.search(r"^picture 4 \(id \d+\): (nothing found|\d objects?: )", found.text, re.M)
    assert found.html.count("<svg") == 4
    assert re.search(r"(brick|leaf) \d+%", found.html)


def test_examples_are_some_pictures_and_of_all_that_were_looked_at_the_worst_misses(scenes, shapes):
    found = shapes.examples(2)
    assert found.title.startswith("2 labelled rows; boxes with a score of ")
    assert re.findall(r"^picture (\d+): ", found.text.partition("The worst misses")[0], re.M) == ["1", "2"]
    assert shapes.examples(2).text == found.text
    # In one picture a thing is said to be where nothing is.
    there = "IF(id = 3, array_append(boxes, array(0F, 0F, 9F, 5F)), boxes) AS boxes"
    rows = scenes[1].selectExpr("image", there, "IF(id = 3, array_append(labels, 'leaf'), labels) AS labels")
    worse = shapes.task.examples(shapes.predict(rows), shapes.meta, 9)
    pictures, _, misses = worse.text.partition("The worst misses of 24 rows: ")
    assert re.findall(r"^picture (\d+): ", pictures, re.M) == [str(n) for n in range(1, 10)]
    assert "  leaf (0, 0, 9, 5)  (missed)" in misses.splitlines()
    assert worse.html.count("<svg") == 9 + len(re.findall(r"^picture ", misses, re.M))


def test_a_found_box_is_explained_by_what_lies_in_it(scenes, shapes):
    found = sparknn_magic.explain(shapes, count=24)
    lines = found.text.splitlines()
    assert 12 <= len(lines) <= 24  # one of each picture with a box
    assert found.html.count("data:image/png;base64,") == 2 * len(lines)
    right = [line for line in lines if re.match(r"  ✓ (brick|leaf) \d+%: hidden in its box, the score is \d", line)]
    assert len(right) >= 5


def test_the_figures_and_the_pictures_are_shown(scenes, shapes):
    again = shapes.evaluate(scenes[1])
    assert again["map"] == pytest.approx(shapes.metrics["map"])
    text = metrics_table(again)
    assert re.search(rf"^mAP at IoU 0.5 +{again['map50']:.4f} ", text, re.M)
    brick = again["per_class"][0]
    assert re.search(rf"^brick +{brick['map']:.4f} +{brick['map50']:.4f} +{brick['boxes']}$", text, re.M)
    assert "object-detection" in repr(shapes)
    assert "brick" in shapes._repr_html_()
    report = shapes.report.read_text(encoding="utf-8")
    pictures = report.partition("The worst misses")[0]
    assert pictures.count("stroke-dasharray") >= 9  # true boxes of nine pictures, more than one in most
    assert re.search(r"(brick|leaf) \d+%", pictures)
    assert "float32[" in (shapes.folder / "README.md").read_text(encoding="utf-8")


CROPS = """\
SELECT product AS image, name AS label FROM scenes
LATERAL VIEW inline(arrays_zip(nn_crops(image, boxes, 0.1, 32), labels)) AS product, name
WHERE product IS NOT NULL"""
CLASSIFIER = """\
task: image-classification
data: {train: crops}
model:
  compact: {width: 8}
train: {epochs: 1, batch_size: 32, workers: 1}
"""


def test_a_detector_begins_with_what_a_classifier_has_learnt_from_the_boxes(spark, scenes, tmp_path):
    spark.sql(CROPS).createOrReplaceTempView("crops")
    cell = CLASSIFIER + f"export: {tmp_path / 'older'}\n"
    sparknn_magic.train(cell, name="older", spark=spark, runs=tmp_path / "runs", on_event=lambda event: None)
    older = load_file(tmp_path / "older" / "model.safetensors")
    assert older["features.0.1.num_batches_tracked"] > 1
    options = {"channels": 16, "width": 8, "pretrained": str(tmp_path / "older")}
    network = registry.get("architecture", "centernet").build(DetectionInputs(3, 64, 64), 5, **options)
    assert network.note == ""
    taken = network.pyramid.state_dict()
    learnt = {name.replace("features.", "chain."): v for name, v in older.items() if not name.startswith("head.")}
    assert learnt.keys() == taken.keys()
    assert all(torch.equal(value, taken[name]) for name, value in learnt.items())


DETR = """\
task: object-detection
data:
  train: scenes
  validation: 20%
  test: scenes_test
preprocess:
- letterbox: 64
augment:
- random_horizontal_flip
model:
  d_fine: {layers: 2, width: 32, heads: 2, queries: 12, backbone: 8}
train:
  epochs: 8
  batch_size: 8
  optimizer: {adamw: {lr: 2e-3}}
  clip_norm: 1
  workers: 1
"""


def test_a_detector_of_transformers_goes_the_same_way_from_rows_to_sql(spark, scenes, tmp_path):
    cell = DETR + f"export: {tmp_path / 'queries'}\n"
    model = sparknn_magic.train(cell, name="queries", spark=spark, runs=tmp_path / "runs", on_event=lambda event: None)
    losses = [epoch["train_loss"] for epoch in model.history]
    assert losses[-1] < 0.8 * losses[0]
    parity = model.meta["parity"]
    assert (parity["rows"], parity["changed_decisions"]) == (model.meta["rows"]["validation"], 0)
    assert parity["detections"] > parity["rows"]
    assert parity["max_difference"] < 1e-3
    rows = spark.sql("SELECT queries(image) AS p FROM scenes_test").collect()
    assert len(rows) == model.metrics["rows"] == 24
    objects = [each for row in rows for each in row.p.objects]
    assert {each.label for each in objects} <= set(COLOURS)
    assert all(0 <= b.x1 < b.x2 <= 96 and 0 <= b.y1 < b.y2 <= 64 for b in (each.box for each in objects))
    assert max(len(row.p.objects) for row in rows) <= 2 * 12


def test_pictures_of_many_objects_are_given_more_than_a_hundred(spark, tmp_path):
    boxes = [[8.0 * x, 8.0 * y, 8.0 * x + 6, 8.0 * y + 6] for x in range(12) for y in range(10)]
    labels = ["brick"] * len(boxes)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 80, 96, 3), np.uint8)
    values = [(n, bytearray(encode(each)), boxes, labels) for n, each in enumerate(pixels)]
    spark.createDataFrame(values, SCHEMA).createOrReplaceTempView("crowds")
    cell = CELL.replace("train: scenes", "train: crowds").replace("  test: scenes_test\n", "")
    told: list[dict] = []
    model = sparknn_magic.train(
        cell.replace("epochs: 14", "epochs: 1") + f"export: {tmp_path / 'crowds'}\n",
        name="crowds",
        spark=spark,
        runs=tmp_path / "runs",
        on_event=told.append,
    )
    assert model.meta["detections"] == {"score": 0.01, "most": 180, "nms": None}
    words = (
        "up to 120 boxes: the model gives up to 180, if it has as many candidates; COCO's figures count the 100 surest"
    )
    assert words in str(told)
    assert words in plan_text(dry_run(cell, spark=spark))
    (path,) = (tmp_path / "crowds").glob("*.onnx")
    output = {each.name: each.shape for each in InferenceSession(path).get_outputs()}
    assert output["scores"][1] == 180


def test_a_dry_run_tells_of_the_boxes(spark, scenes):
    text = plan_text(dry_run(CELL, name="shapes", spark=spark))
    assert re.search(r"boxes +\d+ in 90 rows", text)
    assert "centernet" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("train:\n", "loss: focal\ntrain:\n"), "loss"),
        (("train:\n", "metrics: {n: count(*)}\ntrain:\n"), "metrics are SQL over one label a row"),
        (("centernet: {width: 8, channels: 24, stride: 4}", "lenet5: {}"), "'lenet5' is for image-classification"),
        (("  test: scenes_test\n", "  test: scenes_test\n  boxes: box\n"), "has no column 'box' for the boxes"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said_with_its_place(spark, scenes, change, words):
    with pytest.raises(sparknn_magic.SparkNNError, match=words) as caught:
        sparknn_magic.run.check(CELL.replace(*change), name="shapes", spark=spark)
    assert caught.value.line
