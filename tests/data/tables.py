"""A table of wines with columns of every kind, made of scikit-learn's; and the plan of an experiment on it."""

import textwrap
from decimal import Decimal
from typing import Any

import numpy as np
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    StringType,
    StructField,
    StructType,
)
from sklearn.datasets import load_wine

from sparknn_magic.data.vectors.spark import VectorPlan, plan
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

SCHEMA = {
    "id": IntegerType(),
    "alcohol": DoubleType(),
    "malic": FloatType(),
    "ash": DecimalType(6, 2),
    "magnesium": IntegerType(),
    "old": BooleanType(),
    "colour": StringType(),
    "cellar": IntegerType(),
    "phenols": ArrayType(FloatType()),
    "grape": StringType(),
    "proline": DoubleType(),
    "extract": VectorUDT(),
}
SHADES = ("light", "medium", "dark")


def wines() -> list[dict[str, Any]]:
    """178 wines: `alcohol` is null in every 7th, `colour` in every 11th; `grape` has three values, as has `cellar`."""
    data = load_wine()
    found = []
    for i, (x, grape) in enumerate(zip(data.data, data.target, strict=True)):
        found.append(
            {
                "id": i,
                "alcohol": None if i % 7 == 3 else float(x[0]),
                "malic": float(np.float32(x[1])),
                "ash": Decimal(f"{x[2]:.2f}"),
                "magnesium": int(x[4]),
                "old": bool(x[10] > 1),
                "colour": None if i % 11 == 5 else SHADES[int(x[9] > 3.5) + int(x[9] > 6)],
                "cellar": 10 * (i % 3),
                "phenols": [float(np.float32(x[5])), float(np.float32(x[6]))],
                "grape": ("barolo", "grignolino", "barbera")[grape],
                "proline": float(x[12]),
            }
        )
    return found


def frame(spark: SparkSession) -> DataFrame:
    """The wines as a frame; half of `phenols` is an MLlib vector too, dense and sparse in turn: `extract`."""
    schema = StructType([StructField(name, kind) for name, kind in SCHEMA.items()])
    return spark.createDataFrame([(*row.values(), vector(row)) for row in wines()], schema)


def vector(row: dict[str, Any]) -> Any:
    values = [0.0, row["phenols"][0], 0.0]
    return Vectors.dense(values) if row["id"] % 2 else Vectors.sparse(3, {1: values[1]})


def experiment(data: str, variables: dict[str, Any] | None = None, more: str = "", kind: str = "classification") -> Any:
    """An experiment whose `data:` section, from line 3 and column 3 on, is this text."""
    text = f"task: vector-{kind}\ndata:\n" + textwrap.indent(textwrap.dedent(data).strip(), "  ")
    return Experiment.parse(f"{text}\nmodel: mlp\n{textwrap.dedent(more)}", variables=variables)


def lay_out(
    spark: SparkSession,
    data: str,
    variables: dict[str, Any] | None = None,
    more: str = "",
    kind: str = "classification",
) -> VectorPlan:
    """The plan of such an experiment."""
    found = experiment(data, variables, more, kind)
    return plan(spark, found, resolve(found), list(variables or {}), regression=kind == "regression")


def matrix(rows: DataFrame, split: int, name: str = "numbers", dtype: type = np.float32) -> np.ndarray:
    """The numbers (or codes) of prepared rows, sorted by row: they can be compared whatever their order."""
    values = rows.where(f"split = {split}").select(name).toArrow().column(name).to_pylist()
    return by_row(np.array([np.frombuffer(value, dtype) for value in values]))


def by_row(values: np.ndarray) -> np.ndarray:
    """The same rows, sorted by their first number, then their second, ..."""
    return values[np.lexsort(values.T[::-1])]
