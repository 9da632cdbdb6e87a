"""What the two tasks on columns share: everything but what is learnt."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.errors import ExportError
from sparknn_magic.plugin import Part, Target
from sparknn_magic.task import Task

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import Column, DataFrame, SparkSession

    from sparknn_magic.data.preview.findings import Findings
    from sparknn_magic.data.vectors.spark import Inspected, Prepared, VectorPlan
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.report import Row
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob, TrainRows

PARITY_ROWS = 512
SHOWN_VALUES = 100  # of a categorical column, in bundle.json; the model file has all


class VectorTask(Task):
    """Columns of numbers and categories -> a class, or a number."""

    regression: ClassVar[bool]

    def plan(
        self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]
    ) -> "VectorPlan":
        """Open the sources, check the columns under `data.features`, the label and the steps; run no job over rows."""
        from sparknn_magic.data.vectors.spark import plan

        return plan(spark, experiment, resolved, names, regression=self.regression)

    def inspect(self, plan: "VectorPlan") -> "Inspected":
        """Look at labels, missing values and categories, and fit the steps: a Spark job each."""
        from sparknn_magic.data.vectors.spark import inspect

        return inspect(plan)

    def details(self, plan: "VectorPlan", found: "Inspected") -> list[tuple[str, str]]:
        """Return what a dry run says of the columns and of what is done to them."""
        from sparknn_magic.data.vectors.words import details

        return details(plan, found)

    def preview(self, plan: "VectorPlan", most: int | None, say: Callable[[str], None]) -> "Findings":
        """Look at every column, at labels, copies and rows that are left out, and bring a few rows."""
        from sparknn_magic.data.preview.columns import look

        return look(plan, most, self.inspect, self.details, say)

    def prepare(self, plan: "VectorPlan", folder: str, *, fresh: bool) -> "Prepared":
        """Write numbers after the steps, codes and labels as Parquet, or find them again."""
        from sparknn_magic.data.vectors.spark import prepare

        return prepare(plan, folder, fresh=fresh)

    def training_rows(self, prepared: "Prepared") -> "TrainRows":
        """Return float32[F] numbers and int32[G] codes a row, and the label."""
        from sparknn_magic.training.job import Field, TrainRows

        numbers, codes = prepared.inputs.numbers, len(prepared.inputs.categories)
        return TrainRows(
            inputs=prepared.inputs,
            fields=(Field("numbers", "float32", (numbers,)), Field("codes", "int32", (codes,))),
            front=Part("sparknn_magic.training.network:Vectors"),
            target=Field("label", "float32" if self.regression else "int64"),
            columns=tuple(Field(name, "float64") for name in prepared.plan.extra),
        )

    def describe(self, prepared: "Prepared") -> dict[str, Any]:
        """Return the columns, the first values of each categorical one, and what the network takes."""
        from dataclasses import asdict

        return {
            "classes": list(prepared.classes),
            "input": asdict(prepared.inputs),
            "features": [asdict(feature) for feature in prepared.features],
            "categories": [list(values[:SHOWN_VALUES]) for values in prepared.categories],
            "required": prepared.required(),
        }

    def columns(self, meta: Mapping[str, Any]) -> list[str]:
        """Return the input columns, in the order of the training source."""
        return [feature["name"] for feature in meta["features"]]

    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: "Prepared",
        spark: "SparkSession",
        folder: Path,
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx, whose inputs are the raw columns, and the weights.

        Parity: ONNX Runtime on raw validation rows (training rows where there are none), as a model's Spark function
        reads them, and PyTorch on the same rows as executors prepare them.
        """
        from sparknn_magic.bundle.folder import MODEL, WEIGHTS
        from sparknn_magic.data.splits import TRAIN, VALIDATION
        from sparknn_magic.data.vectors.spark import sample_rows
        from sparknn_magic.export.columns import REGRESSION, Regressor, export_columns
        from sparknn_magic.export.graph import CLASSIFICATION, Classifier, trained_network
        from sparknn_magic.export.parity import run_onnx, run_torch

        network = trained_network(job, weights)
        model = (Regressor(network, job.target) if self.regression else Classifier(network)).eval()
        metadata = {key: meta[key] for key in ("name", "task", "classes", "features")}
        steps = [{"name": step["name"], "options": step["options"]} for step in meta["preprocess"]]
        opset = export_columns(
            model,
            prepared.features,
            prepared.steps,
            prepared.categories,
            REGRESSION if self.regression else CLASSIFICATION,
            folder / MODEL,
            metadata | {"preprocess": steps},
        )
        (folder / WEIGHTS).write_bytes(weights)
        split = VALIDATION if prepared.rows["validation"] else TRAIN
        sample = sample_rows(prepared, split, PARITY_ROWS, self._reader(meta).build())
        if not len(sample.labels):
            raise ExportError("none of the rows that were prepared are found again to check the model file on.")
        here = run_torch(model.answer, {"numbers": sample.numbers, "codes": sample.codes})
        there = run_onnx(folder / MODEL, sample.raw)
        return {"opset": opset, "parity": self.compare(here, there, sample.labels, job.target)}

    def compare(self, here: "np.ndarray", there: "np.ndarray", labels: "np.ndarray", target: Target) -> dict[str, Any]:
        """Compare the answers of both engines; raise ExportError where they differ."""
        raise NotImplementedError

    def _reader(self, meta: Mapping[str, Any]) -> Part:
        options = {"features": list(meta["features"]), "required": list(meta["required"])}
        return Part("sparknn_magic.data.vectors.worker:vector_reader", options)

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of the columns and the writer of the prediction struct."""
        raise NotImplementedError


def scored_rows(predictions: "DataFrame", meta: Mapping[str, Any], **said: "Column") -> "DataFrame":
    """Return columns by these names, and the features of `features_shown`: `f0`, `f1`, ..."""
    from sparknn_magic.data.columns import column

    shown = [column(name).alias(f"f{i}") for i, name in enumerate(features_shown(meta))]
    return predictions.select(*(value.alias(name) for name, value in said.items()), *shown)


def features_shown(meta: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that hold one value a row."""
    return [f["name"] for f in meta["features"] if f["kind"] in ("number", "category")]


def report_rows(rows: "DataFrame", meta: Mapping[str, Any]) -> "list[Row]":
    """Bring rows of `scored_rows` with label, predicted and perhaps score to the driver."""
    from sparknn_magic.show.report import Row

    names = features_shown(meta)
    found = []
    for row in rows.toArrow().to_pylist():
        columns = {name: row.pop(f"f{i}") for i, name in enumerate(names)}
        found.append(Row(columns=columns, **row))
    return found
