"""Small frames of pictures, and the first lines of an experiment on them."""

import io
import textwrap
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

from sparknn_magic.data.spark import Plan, plan
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

SCHEMA = "id int, image binary, label string"


def png(shade: int | tuple[int, int, int], height: int = 4, width: int = 5, kind: str = "PNG") -> bytes:
    """A picture of one colour."""
    pixels = np.empty((height, width) if isinstance(shade, int) else (height, width, 3), np.uint8)
    pixels[:] = shade
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def rows(count: int = 40, classes: tuple[Any, ...] = ("cat", "dog")) -> list[tuple[int, bytes, Any]]:
    """`count` grey pictures, all different, with the classes in turn."""
    return [(i, png(i), classes[i % len(classes)]) for i in range(count)]


def experiment(data: str, variables: dict[str, Any] | None = None, more: str = "") -> Experiment:
    """An experiment whose `data:` section, from line 3 and column 3 on, is this text."""
    text = "task: image-classification\ndata:\n" + textwrap.indent(textwrap.dedent(data).strip(), "  ")
    return Experiment.parse(f"{text}\nmodel: resnet8\n{textwrap.dedent(more)}", variables=variables)


def lay_out(spark: SparkSession, data: str, variables: dict[str, Any] | None = None, more: str = "") -> Plan:
    """The plan of such an experiment."""
    found = experiment(data, variables, more)
    return plan(spark, found, resolve(found), list(variables or {}))


def ids(frame: DataFrame | None) -> set[int]:
    assert frame is not None
    return {row.id for row in frame.select("id").collect()}
