"""Small pictures with boxes, and the first lines of a detection experiment on them."""

import io
import textwrap
from typing import Any

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession

from sparknn_magic.data.boxes.plan import BoxPlan
from sparknn_magic.data.boxes.spark import plan
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve_rows

SCHEMA = "id int, image binary, boxes array<array<double>>, labels array<string>, side string"


def picture(width: int = 60, height: int = 40, shade: int = 90, kind: str = "PNG") -> bytes:
    """A colour picture of one shade."""
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), (shade % 256, 10, 200), np.uint8)).save(file, kind)
    return file.getvalue()


def experiment(data: str, variables: dict[str, Any] | None = None, more: str = "") -> Experiment:
    """An experiment whose `data:` section, from line 3 and column 3 on, is this text."""
    text = "task: object-detection\ndata:\n" + textwrap.indent(textwrap.dedent(data).strip(), "  ")
    return Experiment.parse(f"{text}\nmodel: any\n{textwrap.dedent(more)}", variables=variables)


def lay_out(spark: SparkSession, data: str, variables: dict[str, Any] | None = None, more: str = "") -> BoxPlan:
    """The plan of such an experiment."""
    found = experiment(data, variables, more)
    return plan(spark, found, resolve_rows(found), list(variables or {}))
