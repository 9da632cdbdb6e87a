"""Annotated pictures as sources: COCO, Pascal VOC and YOLO, read by Spark."""

import json
from pathlib import Path

import pytest

import sparknn_magic
from sparknn_magic.data.boxes.formats import named_places
from sparknn_magic.data.boxes.spark import inspect, prepare, sample_rows
from sparknn_magic.data.splits import TRAIN, VALIDATION
from sparknn_magic.errors import DataError, SparkNNError
from tests.data.scenes import lay_out, picture


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def coco(names, annotations):
    """A COCO file of pictures 1, 2, ... and of annotations (picture, category, box, crowd)."""
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name} for i, name in enumerate(names, 1)],
            "categories": [{"id": 5, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": [
                {"image_id": i, "category_id": kind, "bbox": box, "iscrowd": crowd}
                for i, kind, box, crowd in annotations
            ],
        }
    )  # fmt: skip


def voc(name, box):
    sides = "".join(f"<{side}>{n}</{side}>" for side, n in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<annotation><object><name>{name}</name><bndbox>{sides}</bndbox></object></annotation>"


def rows_of(frame):
    assert frame.dtypes == [
        ("image", "binary"), ("boxes", "array<array<double>>"), ("labels", "array<string>"), ("key", "string"),
    ]  # fmt: skip
    return {row.key: (bytes(row.image), row.boxes, row.labels) for row in frame.collect()}


def source_rows(spark, written):
    """The training rows as the source gives them: no row is on another side."""
    return rows_of(lay_out(spark, f"train: {written}\nvalidation: null").train)


def refusal(spark, written):
    with pytest.raises(SparkNNError) as error:
        inspect(lay_out(spark, f"train: {written}\nvalidation: null"))
    assert len(str(error.value).splitlines()) <= 2
    return str(error.value)


def test_coco_gives_each_listed_picture_its_boxes(spark, tmp_path):
    annotations = [(1, 5, [1, 2, 3, 4], 0), (1, 2, [5, 5, 5, 5], 0), (2, 5, [0, 0, 9, 9], 1)]
    files = {
        "my set [1]/_annotations.coco.json": coco(["a.png", "deep/b 1%20.PNG", "gone.png"], annotations),
        "my set [1]/a.png": picture(shade=1),
        "my set [1]/deep/b 1%20.PNG": picture(shade=2),
        "my set [1]/unlisted.png": picture(shade=3),
    }
    root = write(tmp_path, files)
    where = f"{{coco: '{root}/my set [1]/_annotations.coco.json'}}"
    assert source_rows(spark, where) == {
        "a.png": (picture(shade=1), [[1, 2, 4, 6], [5, 5, 10, 10]], ["cat", "dog"]),
        "deep/b 1%20.PNG": (picture(shade=2), [], []),
    }
    prepared = prepare(lay_out(spark, f"train: {where}\nvalidation: null"), str(tmp_path / "prepared"))
    assert (prepared.classes, prepared.rows) == (("cat", "dog"), {"train": 2, "validation": 0})
    assert (prepared.boxes["boxes"], prepared.boxes["background"]) == (2, 1)
    assert prepared.notes == [
        "data.train: 1 of 3 pictures not found, or empty, and left out, such as 'gone.png'.",
        "data.train: 1 annotation of a crowd (iscrowd) is left out.",
    ]


def test_annotated_pictures_are_a_frame_too_to_evaluate_on_or_to_cut_from(spark, tmp_path):
    files = {"set/a.json": coco(["a.png"], [(1, 5, [1, 2, 3, 4], 0)]), "pictures/a.png": picture(shade=1)}
    files |= {"voc/b.png": picture(shade=2), "voc/b.xml": voc("dog", (1, 2, 9, 8))}
    root = str(write(tmp_path, files))
    found = sparknn_magic.annotated_pictures(spark, coco=f"{root}/set/a.json", images=f"{root}/pictures")
    assert rows_of(found) == {"a.png": (picture(shade=1), [[1, 2, 4, 6]], ["cat"])}
    assert rows_of(sparknn_magic.annotated_pictures(voc=f"{root}/voc"))["b.png"][1:] == ([[1, 2, 9, 8]], ["dog"])
    assert sparknn_magic.annotated_pictures(spark, voc=Path(root) / "voc").count() == 1
    with pytest.raises(DataError, match="reads one of coco, voc and yolo, not nothing"):
        sparknn_magic.annotated_pictures(spark, coco="")
    with pytest.raises(DataError, match="not voc and yolo"):
        sparknn_magic.annotated_pictures(spark, voc=root, yolo=root)
    with pytest.raises(DataError, match=f"there is no file or folder '{root}/_a.json'"):
        sparknn_magic.annotated_pictures(spark, coco=f"{root}/_a.json")
    (Path(root) / "_a.json").write_text(files["set/a.json"])
    with pytest.raises(DataError, match=r"there is no file or folder 'file:///_nothing\.json'"):
        sparknn_magic.annotated_pictures(spark, coco="file:///_nothing.json")
    with pytest.raises(DataError, match=f"there is no file or folder '{root}/nothing'"):
        sparknn_magic.annotated_pictures(spark, yolo=f"{root}/nothing")


def test_coco_files_of_all_three_sides_are_opened_and_what_is_wrong_with_each_is_said_once(spark, tmp_path):
    sides = {
        "train": (["a.png", "b.png"], [(1, 5, [1, 2, 3, 4], 0), (2, 2, [5, 5, 5, 5], 0)]),
        "valid": (["c.png", "gone.png"], [(1, 2, [10, 10, 20, 10], 0)]),
        "test": (["d.png", "lost.png"], [(1, 5, [0, 0, 8, 8], 0), (1, 5, [0, 0, 9, 9], 1), (9, 5, [0, 0, 9, 9], 0)]),
    }
    files = {f"{side}/_annotations.coco.json": coco(*said) for side, said in sides.items()}
    shown = ("train/a.png", "train/b.png", "valid/c.png", "test/d.png")
    files |= {name: picture(shade=n) for n, name in enumerate(shown)}
    root = write(tmp_path, files)
    source = "{{coco: '" + str(root) + "/{}/_annotations.coco.json'}}"
    data = f"train: {source.format('train')}\nvalidation: {source.format('valid')}"
    plan = lay_out(spark, f"{data}\ntest: {source.format('test')}")
    assert rows_of(plan.test) == {"d.png": (files["test/d.png"], [[0, 0, 8, 8]], ["cat"])}
    prepared = prepare(plan, str(tmp_path / "prepared"))
    assert (prepared.classes, prepared.rows) == (("cat", "dog"), {"train": 2, "validation": 1})
    assert [each.tolist() for each in sample_rows(prepared, spark, VALIDATION, 10)[1]] == [[[1, 10, 10, 30, 20]]]
    learnt = ["data.validation: 1 of 2 pictures not found, or empty, and left out, such as 'gone.png'."]
    judged = [
        "data.test: 1 of 2 pictures not found, or empty, and left out, such as 'lost.png'.",
        "data.test: 1 annotation of a crowd (iscrowd) is left out.",
        "data.test: 1 annotation of a picture that the file does not list left out.",
    ]
    assert prepared.notes == [*learnt, *judged]
    # The test rows are no part of what is prepared: that is found again, with what is wrong with theirs now.
    write(root, {"test/_annotations.coco.json": coco(["d.png"], [(1, 5, [0, 0, 8, 8], 1)])})
    again = prepare(plan, str(tmp_path / "prepared"))
    assert (again.reused, again.notes) == (True, [*learnt, judged[1]])


def test_a_coco_file_may_lie_elsewhere_than_its_pictures(spark, tmp_path):
    files = {"annotations/train.json": coco(["a.png"], [(1, 5, [1, 2, 3, 4], 0)]), "photos/a.png": picture()}
    root = write(tmp_path, files)
    assert source_rows(spark, f"{{coco: {root}/annotations/train.json, images: {root}/photos}}").keys() == {"a.png"}
    assert refusal(spark, f"{{coco: {root}/annotations/train.json}}") == (
        f"line 3, column 17: '{root}/annotations' has none of the pictures of '{root}/annotations/train.json', "
        "such as 'a.png'.\n`images: FOLDER` beside `coco` names the folder that their file names start from."
    )


def test_what_is_no_coco_file_is_refused_with_its_place(spark, tmp_path):
    write(tmp_path, {"a.json": '{"images": [}', "b.json": "{}"})
    where = f"line 3, column 17: '{tmp_path}"
    assert refusal(spark, f"{{coco: {tmp_path}/a.json}}").startswith(
        f"{where}/a.json' cannot be read: it is not JSON: line 1"
    )
    assert refusal(spark, f"{{coco: {tmp_path}/b.json}}").startswith(
        f"{where}/b.json' cannot be read: it has no list 'cat"
    )
    assert refusal(spark, f"{{coco: {tmp_path}}}") == f"{where}' is a folder; name the JSON file in it."
    words = refusal(spark, f"{{coco: {tmp_path}/c.json}}")
    assert words.startswith(f"line 3, column 17: there is no file or folder '{tmp_path}/c.json'. Did you mean '")


def test_voc_folders_are_paired_by_name_side_by_side_or_in_one(spark, tmp_path):
    files = {
        "JPEGImages/1.png": picture(shade=1),
        "JPEGImages/not looked at.png": picture(shade=2),
        "JPEGImages/broken.png": picture(shade=3),
        "Annotations/1.xml": voc("cat", (1, 2, 3, 4)),
        "Annotations/broken.xml": "<annotation>",
        "Annotations/no picture.xml": voc("cat", (1, 2, 3, 4)),
        "flat/2.PNG": picture(shade=4),
        "flat/2.XML": voc("dog", (5, 6, 7, 8)),
    }
    root = write(tmp_path / "voc", files)
    assert source_rows(spark, f"{{voc: {root}}}") == {
        "JPEGImages/1.png": (picture(shade=1), [[1, 2, 3, 4]], ["cat"]),
        "flat/2.PNG": (picture(shade=4), [[5, 6, 7, 8]], ["dog"]),
    }
    write(root, {"test/3.png": picture(shade=5), "test/3.xml": voc("cat", (1, 2, 3, 4)), "test/4.png": picture()})
    found = inspect(lay_out(spark, f"train: {{voc: {root}}}\nvalidation: null\ntest: {{voc: {root}/test}}"))
    assert found.classes == ("cat", "dog")
    assert found.remarks == (
        "data.train: 2 pictures without an XML file are left out.",
        "data.train: 1 annotation file cannot be read, left out with the pictures, such as that of "
        "'JPEGImages/broken.png': it is not XML: no element found: line 1, column 12.",
        "data.test: 1 picture without an XML file is left out.",
    )


def test_voc_folders_are_prepared_unless_those_of_the_test_rows_do_not_belong_together(spark, tmp_path):
    files = {
        "train/1.png": picture(shade=1),
        "train/1.xml": voc("cat", (1, 2, 31, 42)),
        "valid/2.png": picture(shade=2),
        "valid/2.xml": voc("cat", (11, 12, 21, 22)),
        "apart/3.png": picture(shade=3),
    }
    root = write(tmp_path / "voc", files)
    data = f"train: {{voc: {root}/train}}\nvalidation: {{voc: {root}/valid}}"
    prepared = prepare(lay_out(spark, data), str(tmp_path / "prepared"))
    found = [[each.tolist() for each in sample_rows(prepared, spark, split, 10)[1]] for split in (TRAIN, VALIDATION)]
    assert found == [[[[0, 1, 2, 31, 40]]], [[[0, 11, 12, 21, 22]]]]
    test = f"test: {{voc: {root}/train, images: {root}/apart}}"
    with pytest.raises(SparkNNError, match=r"line 5, column 15: none of the pictures in '.*apart' has an XML file"):
        prepare(lay_out(spark, f"{data}\n{test}"), str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_yolo_classes_are_named_by_the_lines_of_obj_names_in_the_folder_or_beside_it(spark, tmp_path):
    files = {
        "obj.names": "cat\n dog \n",
        "train/a.png": picture(60, 40, shade=1),
        "train/a.txt": "1 0.5 0.5 0.5 0.5\n0 0.25 0.25 0.5 0.5",
        "test/b.png": picture(60, 40, shade=2),
        "test/b.txt": "0 0.5 0.5 1 1\n",
        "test/c.png": picture(60, 40, shade=3),
        "test/c.txt": "1 0.5 0.5 1 1",
        "test/obj.names": "bird",
    }
    root = write(tmp_path / "darknet", files)
    plan = lay_out(spark, f"train: {{yolo: {root}/train}}\nvalidation: null\ntest: {{yolo: {root}/test}}")
    expected = {"a.png": ([[15, 10, 45, 30], [0, 0, 30, 20]], ["dog", "cat"])}
    assert {key: row[1:] for key, row in rows_of(plan.train).items()} == expected
    # The one in the folder itself goes before, and has no class 1.
    assert {key: row[1:] for key, row in rows_of(plan.test).items()} == {"b.png": ([[0, 0, 60, 40]], ["bird"])}


def test_yolo_boxes_are_in_pixels_of_their_pictures_with_the_names_of_data_yaml(spark, tmp_path):
    files = {
        "data.yaml": "names: [cat, dog]",
        "train/images/a.png": picture(60, 40),
        "train/images/b.png": picture(200, 100),
        "train/images/empty.png": picture(20, 20),
        "train/images/background.png": picture(20, 30),
        "train/labels/a.txt": "1 0.5 0.5 0.5 0.5",
        "train/labels/b.txt": "0 0.25 0.5 0.5 1\n1 0.5 0.5 0.5 0.5",
        "train/labels/empty.txt": "",
    }
    root = write(tmp_path / "yolo", files)
    found = source_rows(spark, f"{{yolo: {root}/train}}")
    assert {key: row[1:] for key, row in found.items()} == {
        "images/a.png": ([[15, 10, 45, 30]], ["dog"]),
        "images/b.png": ([[0, 0, 100, 100], [50, 25, 150, 75]], ["cat", "dog"]),
        "images/empty.png": (None, None),  # Spark shows no empty files
        "images/background.png": (None, None),
    }
    write(root, {"train/labels/b.txt": "9 0.5 0.5 0.5 0.5"})
    seen = inspect(lay_out(spark, f"train: {{yolo: {root}/train}}\nvalidation: null", more="preprocess: [{resize: 8}]"))
    assert seen.remarks == (
        "data.train: 1 annotation file cannot be read, left out with the pictures, such as that of 'images/b.png': "
        "line 1 has the class 9, which has no name.",
    )
    assert (seen.rows["train"], seen.boxes.background) == (3, 2)


def test_yolo_folders_of_images_and_labels_have_their_names_above_both(spark, tmp_path):
    files = {
        "data.yaml": "names: [cat, dog]",
        "images/train/a.png": picture(60, 40, shade=1),
        "labels/train/a.txt": "1 0.5 0.5 0.5 0.5",
        "images/val/b.png": picture(60, 40, shade=2),
        "labels/val/b.txt": "0 0.5 0.5 1 1",
    }
    root = write(tmp_path / "yolo", files)
    source = f"{{yolo: {root}/labels/train, images: {root}/images/train}}"
    assert {key: row[1:] for key, row in source_rows(spark, source).items()} == {"a.png": ([[15, 10, 45, 30]], ["dog"])}
    data = f"train: {source}\nvalidation: null"
    assert inspect(lay_out(spark, data, more="preprocess: [{resize: 8}]")).remarks == ()
    (root / "data.yaml").unlink()
    seen = inspect(lay_out(spark, data, more="preprocess: [{resize: 8}]"))
    words = "there is no data.yaml, classes.txt or obj.names, there or above: labels are numbers."
    assert (seen.remarks, seen.classes) == ((f"data.train: {words}",), ("1",))


@pytest.mark.parametrize(
    ("folder", "places"),
    [
        ("set", ["set", "."]),
        ("set/labels", ["set/labels", "set"]),
        ("set/labels/train/", ["set/labels/train", "set/labels", "set"]),
        ("labels/train", ["labels/train", "labels", "."]),
        ("/labels/train", ["/labels/train", "/labels", "/"]),
        ("/data/train", ["/data/train", "/data"]),
        ("/data", ["/data", "/"]),
        ("/", ["/"]),
        ("s3a://bucket", ["s3a://bucket"]),
        ("s3a://labels/train", ["s3a://labels/train", "s3a://labels"]),
        ("s3a://bucket/set/Labels/val", ["s3a://bucket/set/Labels/val", "s3a://bucket/set/Labels", "s3a://bucket/set"]),
    ],
)
def test_names_of_yolo_classes_are_sought_in_the_folder_and_above(folder, places):
    assert named_places(folder) == places


def test_two_annotations_of_one_picture_are_refused(spark, tmp_path):
    files = {
        "a.png": picture(60, 40),
        "a.txt": "1 0.5 0.5 0.5 0.5",
        "labels/a.txt": "0 0.5 0.5 1 1",
        "b.png": picture(60, 40),
        "b.txt": "1 0.5 0.5 0.5 0.5",
    }
    root = write(tmp_path / "twice", files)
    assert refusal(spark, f"{{yolo: {root}}}") == (
        f"line 3, column 17: 'a.png' has a text file of its name in several folders of '{root}'.\n"
        "Name the folder that has the right ones, and that of the pictures as `images: FOLDER`."
    )


def test_folders_that_do_not_belong_together_are_refused(spark, tmp_path):
    root = write(tmp_path, {"p/a.png": picture(), "x/b.xml": voc("cat", (1, 2, 3, 4))})
    assert refusal(spark, f"{{voc: {root}/x, images: {root}/p}}") == (
        f"line 3, column 16: none of the pictures in '{root}/p' has an XML file of its name in '{root}/x'.\n"
        "Both lie in one folder, or in parallel ones: images and labels or annotations."
    )
    assert refusal(spark, f"{{yolo: {root}/nowhere}}").startswith(
        f"line 3, column 17: there is no file or folder '{root}/nowhere'."
    )
