"""Rows of boxes and labels, in Arrow, to good boxes: what executors do, without Spark."""

import re

import numpy as np
import pyarrow as pa
import pytest

from sparknn_magic.data.boxes.annotations import BOXES, LABELS, parsed, read_coco, read_names, read_voc, read_yolo
from sparknn_magic.data.boxes.job import BEYOND, NOT_FINITE, NOT_FOUR, OUTSIDE, UNLABELLED, BoxJob, BoxRules
from sparknn_magic.data.boxes.shards import shard_batches
from sparknn_magic.data.boxes.worker import DIFFERENT, read_boxes
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.plugin import DetectionInputs, Part
from tests.data.scenes import picture


def read(boxes, labels, rules=None, size=(60, 40)):
    sizes = np.full((len(boxes), 2), size, float)
    return read_boxes(pa.array(boxes, BOXES), pa.array(labels, LABELS), sizes, rules or BoxRules())


def test_good_boxes_come_row_by_row_with_their_labels():
    found = read(
        [[[1, 2, 3, 4]], None, [], [[5, 6, 7, 8], [9, 10, 11, 12]]],
        [["a"], None, [], ["b", "a"]],
    )
    assert found.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert found.labels.to_pylist() == ["a", "b", "a"]
    assert found.offsets.tolist() == [0, 1, 1, 1, 3]
    assert found.errors == [None] * 4
    assert found.rows.tolist() == [0, 3, 3]


def test_bad_boxes_are_left_out_and_counted_with_an_example():
    found = read(
        [[[1, 2, 3], [1, 2, 3, None], None, [1, 2, 30, 4]], [[70, 0, 90, 9], [-9, 2, 30, 4], [1, 1, 2, 2]]],
        [["a", "a", "a", None], ["a", "b", "c"]],
    )
    assert found.labels.to_pylist() == ["b", "c"]
    assert found.boxes.tolist() == [[0, 2, 30, 4], [1, 1, 2, 2]]
    assert {i: n for i, n in enumerate(found.left[0]) if n} == {NOT_FOUR: 2, NOT_FINITE: 1, UNLABELLED: 1}
    assert {i: n for i, n in enumerate(found.left[1]) if n} == {OUTSIDE: 1}
    assert found.clipped.tolist() == [0, 1]
    assert found.example_left == [
        "one in a picture of 60 x 40: not of four numbers",
        "[70, 0, 90, 9] in a picture of 60 x 40: outside the picture",
    ]
    assert found.example_clipped == [None, "[-9, 2, 30, 4] in a picture of 60 x 40"]


def test_drop_leaves_out_boxes_that_reach_beyond():
    found = read([[[-9, 2, 30, 4]]], [["a"]], BoxRules(bad="drop"))
    assert found.left[0, BEYOND] == 1
    assert not found.clipped.any()
    assert not len(found.boxes)


def test_a_row_with_other_numbers_of_boxes_and_labels_cannot_be_used():
    found = read([[[1, 2, 3, 4]], None, [[1, 2, 3, 4]]], [["a", "b"], ["a"], None])
    assert found.errors == [DIFFERENT] * 3
    assert not len(found.boxes)


def test_slices_of_larger_arrays_are_read_as_they_are():
    boxes = pa.array([[[9, 9, 10, 10]], [[1, 2, 3, 4]], [[5, 6, 7, 8]]], BOXES).slice(1, 2)
    labels = pa.array([["z"], ["a"], ["b"]], LABELS).slice(1, 2)
    found = read_boxes(boxes, labels, np.full((2, 2), 50.0), BoxRules("xywh"))
    assert found.boxes.tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert found.labels.to_pylist() == ["a", "b"]


def test_fractions_are_of_each_row_s_own_picture():
    boxes = pa.array([[[0.5, 0.5, 1, 1]], [[0.5, 0.5, 1, 1]], [[0.5, 0.5, 1, 1]]], BOXES)
    sizes = np.array([[100, 50], [10, 20], [np.nan, np.nan]])
    found = read_boxes(boxes, pa.array([["a"]] * 3, LABELS), sizes, BoxRules(units="fractions"))
    assert found.boxes.tolist() == [[50, 25, 100, 50], [5, 10, 10, 20]]
    assert found.offsets.tolist() == [0, 1, 2, 2]  # the third has no picture


def test_shards_have_boxes_in_pixels_of_the_prepared_picture():
    steps = (Part("sparknn_zoo.preprocess.letterbox:letterbox", {"size": 30}),)
    job = BoxJob(steps, DetectionInputs(3, 30, 30), None, ("cat", "dog"), BoxRules())
    images = [picture(60, 40), b"no picture", picture(60, 40), picture(20, 60)]
    boxes = [[[0, 0, 60, 40], [10, 10, 20, 20]], [], [[1, 1, 5, 5], [1, 1, 9, 9]], None]
    labels = [["dog", "cat"], [], ["bird", "dog"], None]
    arrays = [pa.array([0] * 4, pa.int32()), pa.array(range(4)), pa.array(images), pa.array(boxes, BOXES)]
    names = ["split", "row", "image", "boxes", "labels"]
    batch = pa.RecordBatch.from_arrays([*arrays, pa.array(labels, LABELS)], names=names)
    (found,) = (each.to_pydict() for each in shard_batches(iter([batch]), job))
    assert found["split"] == [0, DROPPED, 0, 0]
    assert found["error"] == [None, "not an image (JPEG, PNG, WebP, BMP or GIF)", None, None]
    assert [image and len(image) for image in found["image"]] == [2700, None, 2700, 2700]
    assert found["classes"] == [[1, 0], [], [1], []]
    # 60 x 40 becomes 30 x 20 between bars of 5 pixels
    read_back = [np.frombuffer(each, np.float32).reshape(-1, 5).tolist() for each in found["boxes"]]
    assert read_back == [[[1, 0, 5, 30, 25], [0, 5, 10, 10, 15]], [], [[1, 0.5, 5.5, 4.5, 9.5]], []]


# Annotation files

COCO = b"""{"images": [{"id": 7, "file_name": "./a\\\\1.jpg"}, {"id": 8, "file_name": "2.jpg"}],
"categories": [{"id": 3, "name": "cat"}],
"annotations": [
 {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2]]},
 {"image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4], "iscrowd": 0},
 {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 1},
 {"image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4]},
 {"image_id": 8, "category_id": 3}]}"""


def test_coco_boxes_are_corners_and_crowds_are_counted():
    found = read_coco(COCO)
    assert found.names == ["a/1.jpg", "2.jpg"]
    assert found.boxes == [[[1, 2, 4, 6], [1, 2, 4, 6]], [[]]]
    assert found.labels == [["cat", None], ["cat"]]
    assert (found.crowd, found.unlisted) == (1, 1)
    assert found.table().num_rows == 2


def test_categories_without_a_name_and_crowds_written_as_text_are_read_as_they_are_meant():
    found = read_coco(b"""{"images": [{"id": 1, "file_name": "a"}],
        "categories": [{"id": 4, "name": null}, {"id": 5}], "annotations": [
        {"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4], "iscrowd": "0"},
        {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": null},
        {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": true},
        {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": "1"},
        {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": "true"}]}""")
    assert found.labels == [["4", "5"]]
    assert found.crowd == 3


def test_a_picture_that_coco_lists_twice_is_one_with_all_its_boxes():
    found = read_coco(b"""{"images": [{"id": 1.0, "file_name": "a"}, {"id": 2, "file_name": "./a"}],
        "categories": [{"id": 0.0, "name": "cat"}], "annotations": [
        {"image_id": 1, "category_id": 0, "bbox": [1, 2, 3, 4]},
        {"image_id": 2.0, "category_id": 0, "bbox": [5, 6, 1, 1]}]}""")
    assert found.names == ["a"]
    assert found.boxes == [[[1, 2, 4, 6], [5, 6, 6, 7]]]
    assert found.labels == [["cat", "cat"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"images": [', "it is not JSON: line 1, column 13"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[]", "it is not COCO's JSON"),
        (b'{"images": [], "annotations": []}', "it has no list 'categories'; COCO's JSON has images, annotations"),
        (b'{"categories": [], "images": [{"id": 1}]}', "one of its images has no 'file_name': {'id': 1}"),
        (b'{"categories": [{}]}', "one of its entries has no 'id', a number or text: {}"),
        (b'{"categories": [{"id": 1.5}]}', "one of its entries has no 'id', a number or text: {'id': 1.5}"),
        (
            b'{"categories": [], "images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}',
            "two of its images have the id 1: a and b",
        ),
    ],
)
def test_a_file_that_is_not_coco_s_is_said_to_be_none(content, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        read_coco(content)


VOC = b"""<annotation><filename>x.jpg</filename>
<object><name>cat</name><part><name>tail</name><bndbox><xmin>5</xmin></bndbox></part>
<bndbox><xmin>10</xmin><ymin>20.5</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
<object><name> </name><bndbox><xmin>1</xmin><ymin>x</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>
<object><name>dog</name></object></annotation>"""


def test_voc_objects_have_a_name_and_a_box():
    boxes, labels = read_voc(VOC)
    assert boxes[0] == [10, 20.5, 30, 40]
    assert np.isnan(boxes[1][1])
    assert boxes[2] == []
    assert labels == ["cat", None, "dog"]


def test_yolo_lines_are_boxes_by_their_middle_or_outlines():
    names = {0: "cat", 2: "dog"}
    boxes, labels = read_yolo(b"0 0.5 0.5 0.5 0.25\n\n2 0.1 0.2 0.5 0.1 0.3 0.9\n", names)
    assert boxes == [[0.25, 0.375, 0.75, 0.625], [0.1, 0.1, 0.5, 0.9]]
    assert labels == ["cat", "dog"]
    assert read_yolo(b"1 0 0 1 1", {})[1] == ["1"]
    assert read_yolo(b"", names) == ([], [])


def test_a_file_that_cannot_be_read_has_a_problem_and_costs_no_other():
    batch = pa.RecordBatch.from_pydict({"key": ["a", "b", "c"], "content": [b"0 0 0 1", b"7 0 0 1 1", b"0 0 0 1 1"]})
    (found,) = parsed(iter([batch]), lambda content: read_yolo(content, {0: "cat"}))
    assert found.to_pydict()["problem"] == [
        "line 1 has 4 values; a box is: class x y width height",
        "line 1 has the class 7, which has no name",
        None,
    ]
    assert found.to_pydict()["labels"] == [None, None, ["cat"]]
    batch = pa.RecordBatch.from_pydict(
        {"key": ["a", "b"], "content": [b'<?xml version="1.0" encoding="odd"?><a/>', VOC]}
    )
    (found,) = parsed(iter([batch]), read_voc)
    assert found.to_pydict()["problem"] == ["it is not XML: unknown encoding: odd", None]


def test_names_of_classes_are_a_list_a_mapping_or_lines():
    assert read_names(b"path: x\nnames: [cat, dog]\n", yaml=True) == {0: "cat", 1: "dog"}
    assert read_names(b"names:\n  0: cat\n  7: no\n", yaml=True) == {0: "cat", 7: "no"}
    assert read_names(b"cat\ndog \n", yaml=False) == {0: "cat", 1: "dog"}
    with pytest.raises(ValueError, match="it has no `names`"):
        read_names(b"nc: 3", yaml=True)
    with pytest.raises(ValueError, match="its `kpt_shape` says that lines have key points, which are not read here"):
        read_names(b"names: [cat]\nkpt_shape: [4, 2]", yaml=True)
