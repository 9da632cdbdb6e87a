"""The task `token-classification`: a text in, the named entities in it out."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.errors import ExportError
from sparknn_magic.plugin import Part, Target, task
from sparknn_zoo.tasks.text_classification import merged
from sparknn_zoo.tasks.texts import TextTask, given_tokenizer, reader, text_columns, token_field, write_tokenizer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.data.entities.spark import EntityPlan, EntityPrepared, Inspected
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob, TrainRows

PARITY_ROWS = 512
EXAMPLES = 20  # texts in the report
SHOWN = 500  # characters of each


@task(
    "token-classification",
    source="Tjong Kim Sang and De Meulder 2003, Introduction to the CoNLL-2003 Shared Task, arXiv:cs/0306050",
)
class TokenClassification(TextTask):
    """A text -> struct<entities: array<struct<start, end, label, text, score>>, error>.

    `label` is array<struct<start: int, end: int, label: string>>, spans of characters of `text`, the end exclusive; or
    `text` is array<string> of words, and `label` array<string> with a tag for each: O, B-x, I-x. The places of found
    entities are characters, or words, as the function's column has it.
    """

    roles: ClassVar = {"text": "a text, or words", "label": "entities, or tags of words"}
    default_loss = "cross_entropy"
    features = False
    figure = "token_accuracy"  # the share of a row's tokens with the right tag, averaged over the rows
    watch = "validation_token_accuracy"

    def plan(
        self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]
    ) -> "EntityPlan":
        """Open the sources, check the columns `data.text` and `data.label`; run no job over rows."""
        from sparknn_magic.data.entities.spark import plan

        return plan(spark, experiment, resolved, names, given=given_tokenizer(experiment, resolved))

    def inspect(self, plan: Any) -> "Inspected":
        """Find the labels and train the tokenizer: a Spark job each."""
        from sparknn_magic.data.entities.spark import inspect

        return inspect(plan)

    def details(self, plan: Any, found: "Inspected") -> list[tuple[str, str]]:
        """Return what a dry run says of the texts, the tokenizer and the labels."""
        from sparknn_magic.data.entities.spark import details

        return details(plan, found)

    def prepare(self, plan: Any, folder: str, *, fresh: bool) -> "EntityPrepared":
        """Write token ids and a tag for each as Parquet, or find them again."""
        from sparknn_magic.data.entities.spark import prepare

        return prepare(plan, folder, fresh=fresh)

    def training_rows(self, prepared: "EntityPrepared") -> "TrainRows":
        """Return token ids of any number a row, and as many numbers of tags."""
        from sparknn_magic.data.text.spans import IGNORED
        from sparknn_magic.training.job import Field, TrainRows

        return TrainRows(
            inputs=prepared.inputs,
            fields=(token_field(prepared),),
            front=Part("sparknn_magic.training.network:Tokens", {"pad": prepared.inputs.pad}),
            target=Field("label", "int32", (-1,), pad=IGNORED),
        )

    def target(self, prepared: "EntityPrepared") -> Target:
        """Return the tags and how many training tokens each has."""
        return Target(prepared.classes, tuple(prepared.class_rows[name] for name in prepared.classes))

    def describe(self, prepared: Any) -> dict[str, Any]:
        """Return the tags, as `classes`, the labels that they are made of, and what the network reads of a text."""
        return super().describe(prepared) | {"labels": list(prepared.labels), "words": prepared.plan.words}

    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: "EntityPrepared",
        spark: "SparkSession",
        folder: Path,
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx (input_ids, attention_mask -> probabilities, index), tokenizer.json and the weights.

        Parity is checked on the tokens of validation rows, or of training rows where there are none.
        """
        import numpy as np

        from sparknn_magic.bundle.folder import MODEL, WEIGHTS
        from sparknn_magic.data.entities.spark import sample_rows
        from sparknn_magic.data.splits import TRAIN, VALIDATION
        from sparknn_magic.export.graph import trained_network
        from sparknn_magic.export.parity import compare_probabilities
        from sparknn_magic.export.tokens import Tagger, export_tags, run_both

        model = Tagger(merged(trained_network(job, weights).body)).eval()
        steps = [{"name": step["name"], "options": step["options"]} for step in meta["preprocess"]]
        metadata = {key: meta[key] for key in ("name", "task", "classes", "labels", "input")} | {"preprocess": steps}
        opset = export_tags(model, prepared.inputs.length, folder / MODEL, metadata)
        (folder / WEIGHTS).write_bytes(weights)
        write_tokenizer(prepared, folder)
        split = VALIDATION if prepared.rows["validation"] else TRAIN
        sample = sample_rows(prepared, spark, split, PARITY_ROWS)
        if not sample.tokens:
            raise ExportError("none of the rows that were prepared are found again to check the model file on.")
        here, there = run_both(model, folder / MODEL, sample.tokens, prepared.inputs.pad)
        tags = np.concatenate(sample.tags)
        of_text = tags >= 0  # not [CLS] and the like
        parity = compare_probabilities(here[of_text], there[of_text], tags[of_text])
        return {"opset": opset, "parity": parity | {"rows": len(sample.tokens), "tokens": parity["rows"]}}

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of texts or words, and the writer of the entities."""
        from sparknn_magic.bundle.folder import TOKENIZER
        from sparknn_magic.infer.job import ENTITIES, InferJob

        return InferJob(
            digest="",
            read=Part("sparknn_magic.data.entities.worker:entity_reader", reader(meta).options),
            write=Part("sparknn_magic.infer.entities:entity_writer", {"tags": list(meta["classes"])}),
            result=ENTITIES,
            files=(("tokenizer", TOKENIZER),),
        )

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return precision, recall and F1 of whole entities, by Spark."""
        from sparknn_magic.evaluate.entities import entity_metrics

        return entity_metrics(predictions, text=text_columns(meta)[0], label=_label(meta))

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples":
        """Return texts with their true and predicted entities."""
        from sparknn_magic.show.examples import tagged_examples

        rows, read = _spans(predictions, meta)
        return tagged_examples([read(row) for row in rows.where("text IS NOT NULL").collect()])

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: curves, the labels, and the texts with most mistakes, their entities marked."""
        from sparknn_magic.show.report import write_report

        write_report(path, meta, tagged=_worst(predictions, meta))


def _label(meta: Mapping[str, Any]) -> str:
    return str(meta["spec"]["data"]["label"])


def _worst(predictions: "DataFrame", meta: Mapping[str, Any]) -> list[Any]:
    """Bring the texts with most wrong entities to the driver."""
    from pyspark.sql import functions as F

    rows, read = _spans(predictions, meta)
    return [read(r) for r in rows.where("wrong > 0").orderBy(F.desc("wrong"), "text").limit(EXAMPLES).collect()]


def _spans(predictions: "DataFrame", meta: Mapping[str, Any]) -> "tuple[DataFrame, Callable[[Any], Any]]":
    """Return text, true, predicted and wrong (how many) of rows, and what makes of such a row what is shown."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType

    from sparknn_magic.evaluate.entities import with_spans
    from sparknn_magic.evaluate.spark import whole_column
    from sparknn_magic.show.entities import tagged_text, tagged_words

    name = text_columns(meta)[0]
    text = whole_column(predictions, name)
    of_words = isinstance(predictions.select(text.alias("t")).schema["t"].dataType, ArrayType)
    shown = F.slice(text, 1, SHOWN) if of_words else F.substring(text, 1, SHOWN)
    rows = with_spans(predictions, text=name, label=_label(meta))
    wrong = F.size("true") + F.size("predicted") - 2 * F.size("hits")
    read = tagged_words if of_words else tagged_text

    def tagged(row: Any) -> Any:
        return read(row.text, *([tuple(span) for span in spans] for spans in (row.true, row.predicted)))

    return rows.select(shown.alias("text"), "true", "predicted", wrong.alias("wrong")), tagged
