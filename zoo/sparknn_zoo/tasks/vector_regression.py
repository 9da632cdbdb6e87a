"""The task `vector-regression`: a row of columns in, a number out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.plugin import Part, Target, task
from sparknn_zoo.tasks.vectors import VectorTask, report_rows, scored_rows

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import DataFrame

    from sparknn_magic.data.vectors.spark import Inspected, Prepared
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples

EXAMPLES = 20  # rows with the largest errors in the report
POINTS = 2000  # predicted and true numbers in the report


@task("vector-regression", source="Rumelhart et al. 1986, Learning representations by back-propagating errors")
class VectorRegression(VectorTask):
    """Columns of numbers and categories -> struct<prediction: double, error>, in the label's units."""

    roles: ClassVar = {"label": "a number", "features": "features"}
    regression = True
    default_loss = "mse"
    figure = "mae"
    measure = "sparknn_magic.training.figures:absolute_error"
    lower = True
    watch = "validation_loss"

    def outputs(self, found: "Inspected | Prepared") -> int:
        """Return 1: the number that is learnt."""
        return 1

    def target(self, prepared: "Prepared") -> Target:
        """Return mean and standard deviation of the training labels."""
        return Target(mean=prepared.mean, std=prepared.std)

    def describe(self, prepared: "Prepared") -> dict[str, Any]:
        """Return the columns, what the network takes, and the mean and deviation of the label."""
        return super().describe(prepared) | {"statistics": {"mean": prepared.mean, "std": prepared.std}}

    def compare(self, here: "np.ndarray", there: "np.ndarray", labels: "np.ndarray", target: Target) -> dict[str, Any]:
        """Compare predictions float64[N] of both engines, with the labels float64[N]."""
        from sparknn_magic.export.parity import compare_numbers

        return compare_numbers(here, there, labels * target.std + target.mean, target.std)

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of the columns and the writer of the prediction struct."""
        from sparknn_magic.infer.job import NUMBER, InferJob

        write = Part("sparknn_magic.infer.worker:number_writer")
        return InferJob(digest="", read=self._reader(meta), write=write, result=NUMBER, outputs=("prediction",))

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return MSE, RMSE, MAE, median absolute error and R2, by Spark."""
        from sparknn_magic.evaluate.regression import regression_metrics

        label, mean = meta["spec"]["data"]["label"], meta["statistics"]["mean"]
        return regression_metrics(predictions, label=label, baseline=mean)

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples":
        """Return rows with their true and predicted numbers."""
        from sparknn_magic.show.examples import row_examples

        return row_examples(report_rows(_scored(predictions, meta), meta))

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: curves, predicted against true numbers, and the rows with the largest errors."""
        from pyspark.sql import functions as F

        from sparknn_magic.show.report import Numbers, write_report

        rows = _scored(predictions, meta)
        error = F.abs(F.col("predicted") - F.col("label"))
        rows = rows.where(error < float("inf"))  # neither null nor NaN
        points = rows.select("label", "predicted").orderBy(F.xxhash64("label", "predicted")).limit(POINTS).toArrow()
        numbers = Numbers(*(points.column(name).to_numpy() for name in ("label", "predicted")))
        worst = rows.orderBy(F.desc(error)).limit(EXAMPLES)
        write_report(path, meta, rows=report_rows(worst, meta), numbers=numbers)


def _scored(predictions: "DataFrame", meta: Mapping[str, Any]) -> "DataFrame":
    """Return label, predicted and the features."""
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import column

    label = column(meta["spec"]["data"]["label"]).cast("double")
    return scored_rows(predictions, meta, label=label, predicted=F.col("prediction.prediction"))
