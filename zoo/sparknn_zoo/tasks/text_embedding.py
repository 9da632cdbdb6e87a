"""The task `text-embedding`: a text in, a vector out; texts of like meaning have vectors that are near each other."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.errors import ExportError, PluginError, SpecError
from sparknn_magic.plugin import Part, Target, task
from sparknn_magic.task import Task
from sparknn_zoo.tasks.strings import check_strings, write_strings
from sparknn_zoo.tasks.text_classification import merged
from sparknn_zoo.tasks.texts import given_tokenizer, reader, text_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.data.preview.findings import Findings
    from sparknn_magic.data.text.unlabelled import Measured, UnlabelledPlan
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob, TrainRows

PARITY_ROWS = 512
JUDGED_ROWS = 10_000  # of those of the cell, embedded to see how long it takes and whether it can be done
# What a cell may say for other tasks, and why it has no meaning here.
UNUSED = {
    ("data", "label"): "there are no labels",
    ("data", "validation"): "its rows are not split",
    ("data", "test"): "its rows are not split",
    ("data", "key"): "its rows are not split",
    ("augment",): "it trains nothing",
    ("loss",): "it trains nothing",
    ("train",): "it trains nothing",
    ("metrics",): "there are no labels to compare with",
}


def _says(experiment: "Experiment", path: tuple[str, ...]) -> bool:
    """Return whether a cell, or a dict, has something under this key."""
    holder = experiment.data if len(path) > 1 else experiment
    default = type(holder).model_fields[path[-1]].get_default(call_default_factory=True)
    return experiment.where(*path) is not None or getattr(holder, path[-1]) != default


@task("text-embedding", source="Reimers and Gurevych 2019, Sentence-BERT, arXiv:1908.10084")
class TextEmbedding(Task):
    """A text -> array<float> of length 1; column `text`, no label. Trains nothing: the network is a pretrained one.

    In SQL NAME(text) is the vector, null where a text cannot be read; `predict` gives struct<embedding, error> with the
    reason; `embed` gives MLlib vectors of what the network pools, before they are brought to length 1.
    """

    roles: ClassVar = {"text": "a text"}
    tokenizes = True
    strings = True
    trains = False
    figure = ""  # none: there is nothing to be right or wrong about

    def plan(
        self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]
    ) -> "UnlabelledPlan":
        """Open the source and check the column `data.text`; run no job over rows."""
        from sparknn_magic.data.text.job import MOST
        from sparknn_magic.data.text.unlabelled import most_tokens, plan
        from sparknn_magic.hub import folder_of

        given = given_tokenizer(experiment, resolved)
        pretrained = resolved.model.options.get("pretrained")
        most = MOST if pretrained is None else most_tokens(folder_of(pretrained))
        return plan(spark, experiment, resolved, names, given=given, most=most)

    def settled(self, experiment: "Experiment", resolved: "Resolved", plan: "UnlabelledPlan") -> "Resolved":
        """Check what the cell says beside its rows. Raises: SpecError with the place."""
        for path, why in UNUSED.items():
            if _says(experiment, path):
                message = f"{'.'.join(path)} has no meaning for text-embedding: {why}."
                raise experiment.error(path, message, hint=f"Leave `{path[-1]}` out.", key=True)
        if len(plan.texts) > 1 or len(experiment.data.texts) > 1:
            raise experiment.error(("data", "text"), "text-embedding reads one column of texts; data.text names two.")
        if resolved.model.options.get("pretrained") is None:
            name = resolved.model.item.name
            message = f"an embedding needs a pretrained network, and this {name} has learnt nothing yet."
            hint = "Write `model: {minilm: {pretrained: FOLDER}}`: a folder with its files, or its name on the hub."
            raise experiment.error(("model",), message, hint=hint, kind=SpecError)
        return resolved

    def inspect(self, plan: "UnlabelledPlan") -> "Measured":
        """Count and measure the texts: one Spark job."""
        from sparknn_magic.data.text.unlabelled import find

        found = find(plan)
        check_strings(plan, found)
        return found

    def details(self, plan: "UnlabelledPlan", found: "Measured") -> list[tuple[str, str]]:
        """Return what a dry run says of the texts and the tokenizer."""
        from sparknn_magic.data.text.unlabelled import details

        return details(found)

    def preview(self, plan: "UnlabelledPlan", most: int | None, say: Callable[[str], None]) -> "Findings":
        """Look at lengths, scripts, copies and texts that cannot be read, and bring a few texts."""
        from sparknn_magic.data.preview.texts import look_unlabelled

        return look_unlabelled(plan, most, self.inspect, self.details, say)

    def prepare(self, plan: "UnlabelledPlan", folder: str, *, fresh: bool) -> "Measured":
        """Count and measure the texts; nothing is written."""
        return self.inspect(plan)

    def outputs(self, found: "Measured") -> int:
        """Return 1: the last layer of an architecture has no part in a vector."""
        return 1

    def training_rows(self, prepared: "Measured") -> "TrainRows":
        """Return the field of token ids."""
        from sparknn_magic.training.job import Field, TrainRows

        return TrainRows(
            inputs=prepared.inputs,
            fields=(Field("tokens", "int32", (-1,), pad=prepared.inputs.pad),),
            front=Part("sparknn_magic.training.network:Tokens", {"pad": prepared.inputs.pad}),
            target=Field("label", "int64"),
        )

    def target(self, prepared: "Measured") -> Target:
        """Return that of no classes."""
        return Target()

    def describe(self, prepared: "Measured") -> dict[str, Any]:
        """Return what the network reads of a text, and how long the texts are."""
        from dataclasses import asdict

        return {
            "classes": [],
            "input": asdict(prepared.inputs),
            "lengths": list(prepared.quantiles),
            "cut": prepared.cut,
        }

    def columns(self, meta: Mapping[str, Any]) -> list[str]:
        """Return the column of texts."""
        return list(text_columns(meta))

    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: "Measured",
        spark: "SparkSession",
        folder: Path,
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx (input_ids, attention_mask -> embedding, features), tokenizer.json and the weights.

        Parity is checked on the cell's rows. The weights of the last layer are left out.
        """
        from safetensors.torch import save_file

        from sparknn_magic.bundle.folder import MODEL, TOKENIZER, WEIGHTS
        from sparknn_magic.data.text.unlabelled import sample_tokens
        from sparknn_magic.export.graph import trained_network
        from sparknn_magic.export.parity import compare_vectors
        from sparknn_magic.export.texts import EMBEDDING, TextEmbedder, export_texts, run_both
        from sparknn_magic.training.pretrained import head_of

        body = trained_network(job, weights).body
        if not (hasattr(body, "encode") and hasattr(body, "pool")):
            raise PluginError(f"{meta['model']['name']} has no `encode` and `pool`, which a vector is made by.")
        model = TextEmbedder(merged(body)).eval()
        steps = [{"name": step["name"], "options": step["options"]} for step in meta["preprocess"]]
        metadata = {key: meta[key] for key in ("name", "task", "input")} | {"preprocess": steps}
        opset = export_texts(model, prepared.inputs.length, folder / MODEL, metadata, EMBEDDING)
        head = head_of(body, 1)
        save_file({n: t.contiguous() for n, t in body.state_dict().items() if n not in head}, folder / WEIGHTS)
        (folder / TOKENIZER).write_text(prepared.tokenizer, encoding="utf-8")
        tokens = sample_tokens(prepared, PARITY_ROWS)
        if not tokens:
            raise ExportError("none of the rows that were read are found again to check the model file on.")
        here, there = run_both(model, folder / MODEL, tokens, prepared.inputs.pad)
        found = {"opset": opset, "dimension": here.shape[1], "parity": compare_vectors(here, there)}
        return found | write_strings(prepared, folder)

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of texts and the writer of struct<embedding, error>."""
        from sparknn_magic.bundle.folder import TOKENIZER
        from sparknn_magic.infer.job import EMBEDDING, InferJob

        return InferJob(
            digest="",
            read=reader(meta),
            write=Part("sparknn_magic.infer.embeddings:embedding_writer"),
            result=EMBEDDING,
            outputs=("embedding",),
            files=(("tokenizer", TOKENIZER),),
        )

    def function(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the same with a writer of array<float>."""
        from dataclasses import replace

        from sparknn_magic.infer.job import FEATURES

        write = Part("sparknn_magic.infer.embeddings:array_writer")
        return replace(self.inference(meta), write=write, result=FEATURES)

    def judged(self, frame: "DataFrame", prepared: "Measured") -> "DataFrame":
        """Return about `JUDGED_ROWS` of the rows, where there are more."""
        from sparknn_magic.data.text.unlabelled import drawn

        return drawn(frame, prepared, JUDGED_ROWS)

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return how many rows have a vector and how many none, its dimension, and how long that took, by Spark."""
        from sparknn_magic.evaluate.embedding import embedding_metrics

        return embedding_metrics(predictions)

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: the figures, and what the model is."""
        from sparknn_magic.show.report import write_report

        write_report(path, meta)
