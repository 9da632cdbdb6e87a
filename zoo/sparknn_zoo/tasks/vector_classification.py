"""The task `vector-classification`: a row of columns in, one of K classes out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.plugin import Part, Target, task
from sparknn_zoo.tasks.vectors import VectorTask, report_rows, scored_rows

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import DataFrame

    from sparknn_magic.data.vectors.spark import Prepared
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples

EXAMPLES = 20  # mistakes in the report


@task("vector-classification", source="Rumelhart et al. 1986, Learning representations by back-propagating errors")
class VectorClassification(VectorTask):
    """Columns of numbers and categories -> struct<label, score, probabilities[classes], error>."""

    roles: ClassVar = {"label": "a class", "features": "features"}
    regression = False
    default_loss = "cross_entropy"
    watch = "validation_loss"

    def target(self, prepared: "Prepared") -> Target:
        """Return the classes and how many training rows each has."""
        return Target(prepared.classes, tuple(prepared.class_rows[name] for name in prepared.classes))

    def compare(self, here: "np.ndarray", there: "np.ndarray", labels: "np.ndarray", target: Target) -> dict[str, Any]:
        """Compare probabilities float32[N, K] of both engines, with class numbers int64[N]."""
        from sparknn_magic.export.parity import compare_probabilities

        return compare_probabilities(here, there, labels)

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of the columns and the writer of the prediction struct."""
        from sparknn_magic.infer.job import InferJob

        write = Part("sparknn_magic.infer.worker:classification_writer", {"classes": list(meta["classes"])})
        return InferJob(digest="", read=self._reader(meta), write=write)

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return accuracy, precision, recall, F1, log loss, top-5 and the confusion matrix, by Spark."""
        from sparknn_magic.evaluate.spark import classification_metrics

        return classification_metrics(predictions, meta["classes"], label=meta["spec"]["data"]["label"])

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples":
        """Return rows with their true and predicted classes."""
        from sparknn_magic.show.examples import row_examples

        return row_examples(report_rows(_known(predictions, meta), meta))

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: curves, confusion matrix, and the rows with the most confident mistakes."""
        from pyspark.sql import functions as F

        from sparknn_magic.show.report import write_report

        wrong = _known(predictions, meta).where("predicted != label").orderBy(F.desc("score")).limit(EXAMPLES)
        write_report(path, meta, rows=report_rows(wrong, meta))


def _known(predictions: "DataFrame", meta: Mapping[str, Any]) -> "DataFrame":
    """Return label, predicted, score and the features of rows with a label that is one of the classes."""
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import column

    rows = scored_rows(
        predictions,
        meta,
        label=column(meta["spec"]["data"]["label"]).cast("string"),
        predicted=F.col("prediction.label"),
        score=F.col("prediction.score"),
    )
    return rows.where(F.col("label").isin(list(meta["classes"])) & F.col("predicted").isNotNull())
