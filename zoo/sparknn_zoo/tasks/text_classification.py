"""The task `text-classification`: a text, or a pair of texts, in; one of K classes out, or several of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.errors import ExportError
from sparknn_magic.plugin import Part, Target, task
from sparknn_zoo.tasks.strings import check_strings, write_strings
from sparknn_zoo.tasks.texts import TextTask, reader, text_columns, token_field, write_tokenizer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.data.text.spark import Inspected, Prepared, TextPlan
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.show.report import Row
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob, TrainRows

PARITY_ROWS = 512
EXAMPLES = 20  # mistakes in the report
EXPLAINED = 4000  # characters of a text that is explained


@task("text-classification", source="Joulin et al. 2016, Bag of Tricks for Efficient Text Classification")
class TextClassification(TextTask):
    """A text -> struct<label, score, probabilities[classes], error>; columns `text` and `label`.

    Where `label` is an array<string> a row has any number of classes, and the struct one field more: labels.
    """

    roles: ClassVar = {"text": "a text", "label": "a class, or several"}
    default_loss = "cross_entropy"
    strings = True
    watch = "validation_loss"  # of few validation rows the accuracy is coarse, and says nothing of the scores

    def settled(self, experiment: "Experiment", resolved: "Resolved", plan: "TextPlan") -> "Resolved":
        """Return the plugins, with the loss of several labels a row where rows have several."""
        from sparknn_magic.spec.resolve import with_loss

        return with_loss(experiment, resolved, "multilabel_cross_entropy") if plan.multilabel else resolved

    def inspect(self, plan: "TextPlan") -> "Inspected":
        """Find the classes and train the tokenizer: a Spark job each."""
        found = super().inspect(plan)
        check_strings(plan, found)
        return found

    def prepare(self, plan: "TextPlan", folder: str, *, fresh: bool) -> "Prepared":
        """Write token ids and labels as Parquet, or find them again."""
        prepared = super().prepare(plan, folder, fresh=fresh)
        check_strings(plan, prepared)
        return prepared

    def training_rows(self, prepared: "Prepared") -> "TrainRows":
        """Return token ids of any number a row, and the class's number, or float32[classes] of 0 and 1."""
        from sparknn_magic.training.job import Field, TrainRows

        several = Field("label", "float32", (len(prepared.classes),))
        return TrainRows(
            inputs=prepared.inputs,
            fields=(token_field(prepared),),
            front=Part("sparknn_magic.training.network:Tokens", {"pad": prepared.inputs.pad}),
            target=several if prepared.plan.multilabel else Field("label", "int64"),
            columns=tuple(Field(name, "float64") for name in prepared.plan.extra),
        )

    def target(self, prepared: "Prepared") -> Target:
        """Return the classes and how many training rows each has."""
        return Target(prepared.classes, tuple(prepared.class_rows[name] for name in prepared.classes))

    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: "Prepared",
        spark: "SparkSession",
        folder: Path,
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx (input_ids, attention_mask -> probabilities, index, features), tokenizer.json, the weights.

        Parity is checked on validation rows, or on training rows where there are none. On demand there is one more
        file, which takes texts.
        """
        from sparknn_magic.bundle.folder import MODEL, WEIGHTS
        from sparknn_magic.data.splits import TRAIN, VALIDATION
        from sparknn_magic.data.text.spark import sample_rows
        from sparknn_magic.export.graph import TextClassifier, trained_network
        from sparknn_magic.export.parity import compare_probabilities
        from sparknn_magic.export.texts import export_texts, run_both

        several = prepared.plan.multilabel
        model = TextClassifier(merged(trained_network(job, weights).body), several=several).eval()
        steps = [{"name": step["name"], "options": step["options"]} for step in meta["preprocess"]]
        metadata = {key: meta[key] for key in ("name", "task", "classes", "input", "several")} | {"preprocess": steps}
        opset = export_texts(model, prepared.inputs.length, folder / MODEL, metadata)
        (folder / WEIGHTS).write_bytes(weights)
        write_tokenizer(prepared, folder)
        split = VALIDATION if prepared.rows["validation"] else TRAIN
        sample = sample_rows(prepared, spark, split, PARITY_ROWS)
        if not len(sample.labels):
            raise ExportError("none of the rows that were prepared are found again to check the model file on.")
        here, there = run_both(model, folder / MODEL, sample.tokens, prepared.inputs.pad)
        labels = sample.labels.argmax(1) if several else sample.labels
        parity = compare_probabilities(here, there, labels)
        return {"opset": opset, "parity": parity, **write_strings(prepared, folder)}

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of texts and the writer of the prediction struct."""
        from sparknn_magic.bundle.folder import TOKENIZER
        from sparknn_magic.infer.job import PREDICTION, SEVERAL, InferJob

        options = {"classes": list(meta["classes"]), "several": meta["several"]}
        return InferJob(
            digest="",
            read=reader(meta),
            write=Part("sparknn_magic.infer.worker:classification_writer", options),
            result=SEVERAL if meta["several"] else PREDICTION,
            files=(("tokenizer", TOKENIZER),),
        )

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics of classes, or of several labels a row, by Spark."""
        from sparknn_magic.evaluate.spark import classification_metrics

        label = meta["spec"]["data"]["label"]
        if meta["several"]:
            from sparknn_magic.evaluate.multilabel import multilabel_metrics

            return multilabel_metrics(predictions, meta["classes"], label=label)
        return classification_metrics(predictions, meta["classes"], label=label)

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples":
        """Return texts with their true and predicted labels."""
        from sparknn_magic.show.examples import row_examples

        return row_examples(_rows(_said(predictions, meta), meta))

    def explained(self, predictions: "DataFrame", meta: Mapping[str, Any], folder: Path, count: int) -> "Examples":
        """Return mistakes with the weight of each word."""
        from pyspark.sql import functions as F

        from sparknn_magic.explaining import asker, text_weights
        from sparknn_magic.show.explained import text_reasons
        from sparknn_magic.show.report import Row

        classes = list(meta["classes"])
        first = _likeliest(predictions, meta).orderBy("right", F.desc("score"), "t0").limit(count)
        rows = first.collect()
        names, right = text_columns(meta), [row.right for row in rows]
        found = [Row({n: r[f"t{i}"] for i, n in enumerate(names)}, r.label, r.predicted, r.score) for r in rows]
        ask = asker(self.inference(meta), folder, len(classes))
        texts = [tuple(text or "" for text in row.columns.values()) for row in found]
        weights = [text_weights(ask, t, classes.index(r.predicted)) for t, r in zip(texts, found, strict=True)]
        return text_reasons(list(zip(found, weights, strict=True)), right)

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: curves, confusion matrix, calibration, and the most confident mistakes."""
        from sparknn_magic.show.report import write_report

        write_report(path, meta, rows=_mistakes(predictions, meta))


def merged(body: Any) -> Any:
    """Return the module that is exported: without adapters, where it has any that can be added to its weights."""
    return body.merged() if hasattr(body, "merged") else body


def _mistakes(predictions: "DataFrame", meta: Mapping[str, Any]) -> "list[Row]":
    """Bring the texts of the most confident mistakes to the driver."""
    from pyspark.sql import functions as F

    wrong = F.col("label") != F.col("predicted")
    if not meta["several"]:
        wrong = F.col("label").isin(list(meta["classes"])) & wrong
    return _rows(_said(predictions, meta).where(wrong).orderBy(F.desc("score"), "t0").limit(EXAMPLES), meta)


def _said(predictions: "DataFrame", meta: Mapping[str, Any]) -> "DataFrame":
    """Return label, predicted, score and the beginnings of the texts, `t0` and on, of rows that have a prediction."""
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import column

    label, names = column(meta["spec"]["data"]["label"]), text_columns(meta)
    texts = [F.substring(column(name), 1, 500).alias(f"t{i}") for i, name in enumerate(names)]
    if meta["several"]:
        truth, guess = F.array_sort(label), F.array_sort("prediction.labels")
        said = [F.array_join(each, ", ").alias(name) for each, name in ((truth, "label"), (guess, "predicted"))]
    else:
        said = [label.cast("string").alias("label"), F.col("prediction.label").alias("predicted")]
    scored = predictions.where("prediction.label IS NOT NULL")
    return scored.select(*said, F.col("prediction.score").alias("score"), *texts)


def _likeliest(predictions: "DataFrame", meta: Mapping[str, Any]) -> "DataFrame":
    """Return label, predicted, right, score and the texts of labelled rows; of several labels the likeliest one."""
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import column

    label, guess = column(meta["spec"]["data"]["label"]), F.col("prediction.label")
    known = label.isNotNull() if meta["several"] else label.cast("string").isin(list(meta["classes"]))
    truth = F.array_join(F.array_sort(label), ", ") if meta["several"] else label.cast("string")
    right = F.array_contains(label, guess) if meta["several"] else truth == guess
    said = {"label": truth, "predicted": guess, "right": right, "score": F.col("prediction.score")}
    texts = [F.substring(column(n), 1, EXPLAINED).alias(f"t{i}") for i, n in enumerate(text_columns(meta))]
    return predictions.where(guess.isNotNull() & known).select(*(c.alias(n) for n, c in said.items()), *texts)


def _rows(frame: "DataFrame", meta: Mapping[str, Any]) -> "list[Row]":
    """Bring such rows to the driver."""
    from sparknn_magic.show.report import Row

    names = text_columns(meta)
    found = frame.collect()
    return [Row({n: r[f"t{i}"] for i, n in enumerate(names)}, r.label, r.predicted, r.score) for r in found]
