"""What a kind of problem adds to the flow: a plugin (group `sparknn.tasks`) whose methods `run.py` calls in order.

A new task is a class like `sparknn_zoo.tasks.image_classification.ImageClassification`: it chooses among the functions
of the rooms, or brings its own. Standard library only; the rooms are imported by the methods that need them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import Target

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.data.preview.findings import Findings
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob


class Task(ABC):
    """One kind of problem."""

    # The keys under `data` that name columns of its rows, and in words what such a column holds; none: not told. For
    # the words that the built-in tasks use, `%sparknn new` finds columns of a fitting type.
    roles: ClassVar[Mapping[str, str]] = {}
    default_loss: str = ""  # the loss of a cell that names none
    own_loss: bool = False  # the architectures bring their loss: a cell names none
    # What a cell of this task has where it says nothing, as it would write it: {"train": {"batch_size": 16}}.
    defaults: Mapping[str, Any] = {}
    figure: str = "accuracy"  # what an epoch reports beside the loss: train_accuracy, validation_accuracy
    measure: str = "sparknn_magic.training.figures:accuracy"  # builds the function that computes it
    lower: bool = False  # less of the figure is better
    tokenizes: bool = False  # it reads texts: the cell may name a tokenizer
    features: bool = True  # its models tell a row's features: `embed` and `search`
    strings: bool = False  # it can write a second file, which takes texts: export.tokenizer_in_graph
    trains: bool = True  # False: the network is published with the weights of its pretrained files
    choice: int = 1  # rows that are scored for each example that is shown: more to choose the worst misses from
    watch: str = "validation_loss"  # the figure of an epoch that decides which one is best

    @abstractmethod
    def plan(self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]) -> Any:
        """Open the sources, check columns and types, run no job: has `columns`, `train`, `validation`, `test`."""

    def settled(self, experiment: "Experiment", resolved: "Resolved", plan: Any) -> "Resolved":
        """Return the plugins, now that the columns are known: a loss that the cell leaves open may depend on them."""
        return resolved

    @abstractmethod
    def inspect(self, plan: Any) -> Any:
        """Look at the rows: the result has `inputs` (what the architecture is built for) and `classes`."""

    def details(self, plan: Any, found: Any) -> list[tuple[str, str]]:
        """Return what a dry run says of the rows beside columns and steps: lines `name, text`."""
        return []

    def preview(self, plan: Any, most: int | None, say: Callable[[str], None]) -> "Findings":
        """Return what is found of the rows before training; `most` is how many are looked at, None: the task's own.

        `say` hears what is being done now, in a few words: "counting rows".
        Raises: SpecError where the task has no preview.
        """
        raise SpecError(f"the task {plan.experiment.task} has no preview; --dry-run looks at its rows.")

    def outputs(self, found: Any) -> int:
        """Return how many numbers the network gives for a row, from what `inspect` or `prepare` returned."""
        return len(found.classes)

    @abstractmethod
    def prepare(self, plan: Any, folder: str, *, fresh: bool) -> Any:
        """Write the shards, or find them again: has `uri`, `inputs`, `classes`, `rows`, `dropped`, `frame(spark)`."""

    @abstractmethod
    def training_rows(self, prepared: Any) -> Any:
        """Return what `TrainJob.rows` says of a rank's rows."""

    @abstractmethod
    def target(self, prepared: Any) -> Target:
        """Return what the loss may want to know of what is learnt."""

    @abstractmethod
    def describe(self, prepared: Any) -> dict[str, Any]:
        """Return what bundle.json says of the rows: at least `classes` and `input`."""

    @abstractmethod
    def columns(self, meta: Mapping[str, Any]) -> list[str]:
        """Return the names of a model's input columns, in the order in which its SQL function takes them."""

    @abstractmethod
    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: Any,
        spark: "SparkSession",
        folder: "Path",
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx and model.safetensors, check parity on prepared rows; return what that adds to `meta`."""

    @abstractmethod
    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return how a model's function reads its input columns and writes its predictions."""

    def function(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the same for the SQL function, where that gives less than a prediction does."""
        return self.inference(meta)

    def judged(self, frame: "DataFrame", prepared: Any) -> "DataFrame":
        """Return those of the held-out rows that the model is evaluated on: all of them."""
        return frame

    @abstractmethod
    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics of predictions beside their true values, by Spark."""

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples | None":
        """Return labelled rows with their predictions, for people to look at; None: the task has no such.

        `predictions` are `count * choice` rows, of which `count` are asked for.
        """
        return None

    def explained(
        self, predictions: "DataFrame", meta: Mapping[str, Any], folder: "Path", count: int
    ) -> "Examples | None":
        """Return the most confident mistakes, and what in each row the answer hangs on; None: the task has no such."""
        return None

    @abstractmethod
    def report(self, path: "Path", predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write the report that a person looks at."""
