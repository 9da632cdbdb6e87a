"""The task `image-classification`: one picture in, one of K classes out."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.plugin import Part, Target, task
from sparknn_magic.shipping import described_part
from sparknn_magic.task import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.data.preview.findings import Findings
    from sparknn_magic.data.spark import Inspected, Plan, Prepared
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob, TrainRows

PARITY_ROWS = 512
PARITY_BYTES = 2**26  # of pictures that are brought to the driver for the parity check
EXAMPLE_ROWS = 2  # the exporter takes a batch of 1 for a fixed size
EXAMPLES = 12  # right and wrong ones each, in the report


@task("image-classification", source="LeCun et al. 1998, Gradient-based learning applied to document recognition")
class ImageClassification(Task):
    """One picture -> struct<label, score, probabilities[classes], error>; columns `image` and `label`."""

    roles: ClassVar = {"image": "a picture", "label": "a class"}
    default_loss = "cross_entropy"
    watch = "validation_accuracy"

    def plan(
        self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]
    ) -> "Plan":
        """Open the sources, check the columns `data.image` and `data.label`; run no job over rows."""
        from sparknn_magic.data.spark import plan

        return plan(spark, experiment, resolved, names)

    def inspect(self, plan: "Plan") -> "Inspected":
        """Find the classes, and the size and channels of the pictures after the steps; one job, nothing is decoded."""
        from sparknn_magic.data.spark import inspect

        return inspect(plan)

    def preview(self, plan: "Plan", most: int | None, say: Callable[[str], None]) -> "Findings":
        """Look at classes, sizes, formats, copies and broken pictures, and bring a few pictures."""
        from sparknn_magic.data.preview.pictures import look

        return look(plan, most, self.inspect, say)

    def prepare(self, plan: "Plan", folder: str, *, fresh: bool) -> "Prepared":
        """Write uint8[height, width, channels] and class numbers as Parquet, or find them again."""
        from sparknn_magic.data.spark import prepare

        return prepare(plan, folder, fresh=fresh)

    def training_rows(self, prepared: "Prepared") -> "TrainRows":
        """Return the size of the pictures, the statistics that normalize them, and the numbers that the loss reads."""
        from sparknn_magic.training.job import Field, picture_rows

        columns = tuple(Field(name, "float64") for name in prepared.columns)
        return picture_rows(prepared.inputs, prepared.mean, prepared.std, columns)

    def target(self, prepared: "Prepared") -> Target:
        """Return the classes and how many training rows each has."""
        return Target(prepared.classes, tuple(prepared.class_rows[name] for name in prepared.classes))

    def describe(self, prepared: "Prepared") -> dict[str, Any]:
        """Return the classes, the size of a picture, and the pixels' mean and deviation."""
        return {
            "classes": list(prepared.classes),
            "input": {key: getattr(prepared.inputs, key) for key in ("height", "width", "channels")},
            "statistics": {"mean": list(prepared.mean), "std": list(prepared.std)},
        }

    def columns(self, meta: Mapping[str, Any]) -> list[str]:
        """Return the one column of pictures."""
        return [meta["spec"]["data"]["image"]]

    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: "Prepared",
        spark: "SparkSession",
        folder: Path,
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx (uint8[N,H,W,C] -> probabilities float32[N,K], index int64[N], features) and the weights.

        Parity is checked on validation rows, or on training rows where there are none.
        """
        import torch

        from sparknn_magic.bundle.folder import MODEL, WEIGHTS
        from sparknn_magic.data.spark import TRAIN, VALIDATION, sample_rows
        from sparknn_magic.export.graph import CLASSIFICATION, IMAGE, Classifier, export_onnx, trained_network
        from sparknn_magic.export.parity import compare_probabilities, run_onnx, run_torch

        classifier = Classifier(trained_network(job, weights)).eval()
        steps = [{"name": step["name"], "options": step["options"]} for step in meta["preprocess"]]
        metadata = {key: meta[key] for key in ("name", "task", "classes", "input")} | {"preprocess": steps}
        inputs = prepared.inputs
        limit = min(PARITY_ROWS, PARITY_BYTES // (inputs.height * inputs.width * inputs.channels) + 1)
        split = VALIDATION if prepared.rows["validation"] else TRAIN
        pixels, labels = sample_rows(prepared, spark, split, limit)
        images = {IMAGE: pixels}
        opset = export_onnx(
            classifier,
            {IMAGE: torch.zeros(EXAMPLE_ROWS, *pixels.shape[1:], dtype=torch.uint8)},
            CLASSIFICATION,
            folder / MODEL,
            metadata,
        )
        (folder / WEIGHTS).write_bytes(weights)
        here, there = run_torch(classifier, images), run_onnx(folder / MODEL, images)
        return {"opset": opset, "parity": compare_probabilities(here, there, labels)}

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of picture columns and the writer of the prediction struct."""
        from sparknn_magic.infer.job import InferJob

        write = Part("sparknn_magic.infer.worker:classification_writer", {"classes": list(meta["classes"])})
        return InferJob(digest="", read=_reader(meta), write=write)

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return accuracy, precision, recall, F1, log loss, top-5 and the confusion matrix, by Spark."""
        from sparknn_magic.evaluate.spark import classification_metrics

        return classification_metrics(predictions, meta["classes"], label=meta["spec"]["data"]["label"])

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples":
        """Return pictures with their true and predicted classes."""
        from sparknn_magic.show.examples import picture_examples

        return picture_examples(_read(_scored(predictions, meta), meta))

    def explained(self, predictions: "DataFrame", meta: Mapping[str, Any], folder: Path, count: int) -> "Examples":
        """Return mistakes with a map of what each answer hangs on."""
        from pyspark.sql import functions as F

        from sparknn_magic.bundle.folder import MODEL
        from sparknn_magic.explaining import picture_weights
        from sparknn_magic.infer.worker import make_session
        from sparknn_magic.show.explained import picture_reasons

        known, wrong = (
            _scored(predictions, meta).where(F.col("label").isin(list(meta["classes"]))),
            "predicted != label",
        )
        found = _read(known.orderBy(F.expr(wrong).desc(), F.desc("score")).limit(count), meta)
        session = make_session(str(folder / MODEL), threads=0)
        classes = list(meta["classes"])
        return picture_reasons([(e, picture_weights(session, e.image, classes.index(e.predicted))) for e in found])

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: curves, confusion matrix, and pictures with right and wrong predictions."""
        from sparknn_magic.show.report import write_report

        write_report(path, meta, _examples(predictions, meta))


def _reader(meta: Mapping[str, Any]) -> Part:
    # Some may have been applied already, before an SQL step.
    steps = [described_part("preprocessor", step) for step in meta["preprocess"][meta.get("done", 0) :]]
    shape = meta["spec"]["data"].get("shape")
    return Part("sparknn_magic.data.worker:image_reader", {"steps": steps, **meta["input"], "shape": shape})


def _scored(predictions: "DataFrame", meta: Mapping[str, Any]) -> "DataFrame":
    """Return image, label, predicted and score of the rows that have a prediction."""
    from pyspark.sql import functions as F

    image, label = (F.col("`" + meta["spec"]["data"][role].replace("`", "``") + "`") for role in ("image", "label"))
    return (
        predictions.where("prediction.label IS NOT NULL")
        .select(image.alias("image"), label.cast("string").alias("label"), "prediction.label", "prediction.score")
        .toDF("image", "label", "predicted", "score")
    )


def _examples(predictions: "DataFrame", meta: Mapping[str, Any]) -> list[Any]:
    """Bring a few pictures to the driver: right ones, and the most confident mistakes."""
    from pyspark.sql import functions as F

    known = _scored(predictions, meta).where(F.col("label").isin(list(meta["classes"])))
    right = known.where("predicted = label").orderBy(F.xxhash64("image")).limit(EXAMPLES)
    wrong = known.where("predicted != label").orderBy(F.desc("score")).limit(EXAMPLES)
    return [*_read(right, meta), *_read(wrong, meta)]


def _read(frame: "DataFrame", meta: Mapping[str, Any]) -> list[Any]:
    """Bring the pictures of some rows to the driver, as the network sees them."""
    from sparknn_magic.show.report import Example

    table = frame.toArrow().combine_chunks()
    if not table.num_rows:
        return []
    pictures = _reader(meta).build()(table.column("image").chunk(0))
    rows = table.drop_columns("image").to_pylist()
    return [Example(pixels, **rows[i]) for pixels, i in zip(pictures.pixels, pictures.rows, strict=True)]
