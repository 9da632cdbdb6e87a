"""Files of boxes -> rows: COCO's JSON (on the driver), Pascal VOC's XML and YOLO's text (on executors). No Spark here.

Each reader raises ValueError with a short reason, in the words that the user reads.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa

from sparknn_magic.data.boxes.job import many

PARSED = "key string, boxes array<array<double>>, labels array<string>, problem string"
MOST_SHOWN = 80  # characters of a reason
BOXES = pa.list_(pa.list_(pa.float64()))
LABELS = pa.list_(pa.string())
Row = tuple[list[list[float]], list[str | None]]  # boxes, and the label of each


@dataclass(frozen=True)
class Coco:
    """What a COCO file says: of each picture its file and its boxes x1, y1, x2, y2 in pixels."""

    names: list[str]
    boxes: list[list[list[float]]]
    labels: list[list[str | None]]
    crowd: int  # annotations of crowds, which are left out
    unlisted: int  # annotations of pictures that are not listed, which are left out

    def table(self) -> pa.Table:
        """Return key, boxes, labels."""
        arrays = [pa.array(self.names, pa.string()), pa.array(self.boxes, BOXES), pa.array(self.labels, LABELS)]
        return pa.table(arrays, names=["key", "boxes", "labels"])


def read_coco(content: bytes) -> Coco:
    """Read the JSON of COCO's object detection: images, annotations with bbox (x, y, width, height), categories.

    An annotation of an unknown category has the label None; one without four numbers keeps those that it has. What is
    listed twice, as where files were put together, is one picture with all its boxes.
    Source: https://cocodataset.org/#format-data
    """
    whole = _json(content)
    categories = {_id(each, "id"): _class(each) for each in _list(whole, "categories")}
    images = _list(whole, "images")
    names = list(dict.fromkeys(_file(each) for each in images))
    boxes: list[list[list[float]]] = [[] for _ in names]
    labels: list[list[str | None]] = [[] for _ in names]
    rows = _rows(images, names)
    crowd = unlisted = 0
    for each in _list(whole, "annotations"):
        row = rows.get(_id(each, "image_id"))
        if str(each.get("iscrowd") or 0).lower() not in ("0", "0.0", "false"):  # some write it as text
            crowd += 1
        elif row is None:
            unlisted += 1
        else:
            boxes[row].append(_corners(each.get("bbox")))
            labels[row].append(categories.get(_id(each, "category_id")))
    return Coco(names, boxes, labels, crowd, unlisted)


def _rows(images: list[Mapping[str, Any]], names: list[str]) -> dict[str, int]:
    """Return the place among `names` of each image's id."""
    places = {name: n for n, name in enumerate(names)}
    rows: dict[str, int] = {}
    for each in images:
        row, number = places[_file(each)], _id(each, "id")
        if rows.setdefault(number, row) != row:
            raise ValueError(f"two of its images have the id {number}: {names[rows[number]]} and {names[row]}")
    return rows


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        # Outlines of objects are most of such a file: they are let go of as soon as they are read.
        whole = json.loads(content, object_hook=_without_outline)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(whole, dict):
        raise ValueError("it is not COCO's JSON, a mapping of images, annotations and categories")
    return whole


def _without_outline(each: dict[str, Any]) -> dict[str, Any]:
    each.pop("segmentation", None)
    return each


def _list(whole: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = whole.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"it has no list '{key}'; COCO's JSON has images, annotations and categories")
    return found


def _id(each: Mapping[str, Any], key: str) -> str:
    value = each.get(key)
    if isinstance(value, float) and value.is_integer():  # as tables of numbers write it
        value = int(value)
    if not isinstance(value, int | str):
        raise ValueError(f"one of its entries has no '{key}', a number or text: {str(each)[:MOST_SHOWN]}")
    return str(value)


def _class(category: Mapping[str, Any]) -> str:
    name = category.get("name")
    return str(category["id"] if name is None else name)


def _file(image: Mapping[str, Any]) -> str:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"one of its images has no 'file_name': {str(image)[:MOST_SHOWN]}")
    return name.replace("\\", "/").removeprefix("./")


def _corners(box: Any) -> list[float]:
    """Return x1, y1, x2, y2; of what is no box as many numbers as it has."""
    numbers = [_number(value) for value in box] if isinstance(box, list) else []
    return [*numbers[:2], numbers[0] + numbers[2], numbers[1] + numbers[3]] if len(numbers) == 4 else numbers


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def read_voc(content: bytes) -> Row:
    """Read one XML file of Pascal VOC: each object's name and bndbox, in pixels as they are written.

    Source: Everingham et al. 2010, The Pascal Visual Object Classes Challenge
    """
    try:
        root = ElementTree.fromstring(content)  # expat limits entities, and reads no other file
    except (ElementTree.ParseError, LookupError) as error:  # the second: an encoding that nobody knows
        raise ValueError(f"it is not XML: {error}") from None
    boxes: list[list[float]] = []
    labels: list[str | None] = []
    for each in root.iter("object"):
        box = each.find("bndbox")
        sides = ("xmin", "ymin", "xmax", "ymax")
        boxes.append([] if box is None else [_number(box.findtext(side)) for side in sides])
        labels.append((each.findtext("name") or "").strip() or None)
    return boxes, labels


def read_yolo(content: bytes, names: Mapping[int, str]) -> Row:
    """Read one text file of YOLO: a line a box, `class x y width height`, as shares of the picture's sides.

    x and y are the box's middle. The line of an outline, `class x1 y1 x2 y2 x3 y3 ...`, gives the box around it. Boxes
    are returned as x1, y1, x2, y2, also shares. Without `names` the label is the class's number.
    """
    boxes: list[list[float]] = []
    labels: list[str | None] = []
    for n, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        values = line.split()
        if not values:
            continue
        if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
            raise ValueError(f"line {n} has {many(len(values), 'value', 'values')}; a box is: class x y width height")
        number, *shares = (_number(value) for value in values)
        if not number.is_integer() or (names and int(number) not in names):
            raise ValueError(f"line {n} has the class {values[0][:20]}, which has no name")
        labels.append(names.get(int(number), str(int(number))))
        if len(shares) == 4:
            x, y, width, height = shares
            boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        else:
            boxes.append([min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2])])
    return boxes, labels


def read_names(content: bytes, *, yaml: bool) -> dict[int, str]:
    """Return the classes' names by their numbers: `names` of a data.yaml, or the lines of a text file."""
    if not yaml:
        lines = content.decode("utf-8-sig").strip().splitlines()
        return {i: line.strip() for i, line in enumerate(lines)}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        whole = YAML(typ="safe", pure=True).load(content.decode("utf-8-sig"))
    except YAMLError as error:
        raise ValueError(f"it is not YAML: {str(error).splitlines()[0]}") from None
    if isinstance(whole, dict) and "kpt_shape" in whole:
        raise ValueError("its `kpt_shape` says that lines have key points, which are not read here")
    names = whole.get("names") if isinstance(whole, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        raise ValueError("it has no `names`, a list, or a name for each number")
    return {number: str(name) for number, name in names.items()}


def parsed(batches: Iterator[pa.RecordBatch], read: Callable[[bytes], Row]) -> Iterator[pa.RecordBatch]:
    """Turn (key string, content binary) into rows of `PARSED`; what cannot be read has a `problem`."""
    for batch in batches:
        rows: list[Row | None] = []
        problems: list[str | None] = []
        for content in batch.column("content").to_pylist():
            try:
                rows.append(read(content or b""))
                problems.append(None)
            except ValueError as error:
                words = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
                rows.append(None)
                problems.append(words)
        columns = [
            batch.column("key"),
            pa.array([row and row[0] for row in rows], BOXES),
            pa.array([row and row[1] for row in rows], LABELS),
            pa.array(problems, pa.string()),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=["key", "boxes", "labels", "problem"])
