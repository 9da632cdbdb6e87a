"""Models side by side: their figures, their learning curves, and whether they differ on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import SparkNNError, SpecError
from sparknn_magic.evaluate.paired import ErrorDifference, McNemar
from sparknn_magic.settings import models_folder

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from sparknn_magic.model import Model

MOST = 8  # models; the lines of more cannot be told apart
SCORED = "sparknn_prediction_{}"  # the column of each model's predictions


@dataclass(frozen=True)
class Compared:
    """One of the models."""

    name: str
    meta: Mapping[str, Any]  # as bundle.json has it
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """Two of the models on the same rows."""

    first: str
    second: str
    test: McNemar | ErrorDifference


@dataclass(frozen=True)
class Comparison:
    """Models of one task side by side. A notebook shows it as a table with their learning curves."""

    task: str
    models: tuple[Compared, ...]
    pairs: tuple[Pair, ...]  # () where there is no test
    rows: str | None  # what the tests were made on, in words
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        from sparknn_magic.show.comparison import comparison_text

        return comparison_text(self.task, self.models, self.pairs, self.rows, self.notes)

    def _repr_html_(self) -> str:
        from sparknn_magic.show.comparison import comparison_html

        return comparison_html(self.task, self.models, self.pairs, self.rows, self.notes)

    def save(self, path: str | Path) -> Path:
        """Write the comparison as one HTML file, which loads nothing. Returns its path."""
        from sparknn_magic.show.page import write_page

        return write_page(path, self._repr_html_(), "comparison")


def compare(
    models: Sequence[Any],
    rows: Any = None,
    *,
    spark: "SparkSession | None" = None,
    variables: Mapping[str, Any] | None = None,
) -> Comparison:
    """Put 2 to 8 models of one task side by side, and test each pair on the same rows.

    `models` are models, or folders of models. `rows` are labelled rows as `Model.predict` takes them: the figures are
    then those of these rows. Without them the figures are the models' own, and the tests are made on the rows that the
    models were evaluated on, where these are the same and are here. Classifiers are compared by McNemar's test, models
    of numbers by the difference of their squared errors; others by their figures alone. One Spark job scores the rows.
    Raises: SpecError, BundleError, DataError.
    """
    found = [_loaded(each, spark) for each in models]
    _check(found)
    task, names = found[0].meta["task"], _names(found)
    notes: list[str] = []
    frame, words = _rows(found, rows, variables, notes)
    metrics = [dict(model.metrics) for model in found]
    tests: list[Any] = []
    if frame is not None:
        for n, model in enumerate(found):
            frame = model.predict_prepared(frame, SCORED.format(n))
        if rows is None:
            tests = _tests(found, frame)
        else:
            frame = frame.persist()  # the models run once on each row
            try:
                metrics = [_figures(model, frame, n) for n, model in enumerate(found)]
                tests = _tests(found, frame)
            finally:
                frame.unpersist()
    pairs = [Pair(names[a], names[b], test) for (a, b), test in zip(_pairs(found), tests, strict=False)]
    compared = (Compared(n, m.meta, f) for n, m, f in zip(names, found, metrics, strict=True))
    return Comparison(task, tuple(compared), tuple(pairs), words, tuple(notes))


def _loaded(given: Any, spark: "SparkSession | None") -> "Model":
    from sparknn_magic.model import Model, load

    if isinstance(given, Model):
        return given
    if not isinstance(given, str | Path):
        raise SpecError(f"compare takes models or their folders, not a {type(given).__name__}.")
    folder = next((f for f in (Path(given), models_folder() / given) if f.is_dir()), Path(given))
    return load(folder, spark=spark, register=False)


def _check(models: "Sequence[Model]") -> None:
    if not 2 <= len(models) <= MOST:
        raise SpecError(f"compare takes 2 to {MOST} models, not {len(models)}.")
    first = models[0]
    for model in models[1:]:
        if model.meta["task"] != first.meta["task"]:
            ours, theirs = f"'{first.name}' is {first.meta['task']}", f"'{model.name}' is {model.meta['task']}"
            raise SpecError(f"only models of one task can be compared: {ours}, {theirs}.")
        if bool(model.meta.get("several")) != bool(first.meta.get("several")):
            one, many = sorted((first, model), key=lambda m: bool(m.meta.get("several")))
            message = f"'{one.name}' gives one label a row and '{many.name}' any number: their figures are others."
            raise SpecError(message)


def _names(models: "Sequence[Model]") -> list[str]:
    """Return the models' names; of those that share one, with their folders."""
    names = [model.name for model in models]
    return [n if names.count(n) == 1 else f"{n} ({m.folder})" for n, m in zip(names, models, strict=True)]


def _pairs(models: "Sequence[Model]") -> list[tuple[int, int]]:
    return list(combinations(range(len(models)), 2))


def _rows(
    models: "Sequence[Model]", rows: Any, variables: Mapping[str, Any] | None, notes: list[str]
) -> "tuple[DataFrame | None, str | None]":
    """Return the rows to compare on, SQL steps applied, and which they are; None, with a note, where there are none."""
    from sparknn_magic.rows import rows_of

    first = models[0]
    if rows is not None:
        if len({_steps(model) for model in models}) > 1:
            message = "the models have different SQL steps, so no rows are the same for all of them."
            raise SpecError(message, hint="Leave the rows out to see the models' own figures side by side.")
        frame = first.preprocessed(rows_of(first.spark, rows, variables), None)[0]
        return frame, "the rows given"
    split = first.meta.get("evaluated_on")
    if len({_judged_on(model) for model in models}) > 1:
        notes.append("The models were evaluated on different rows; `--on ROWS` compares them on rows that you name.")
        return None, None
    if not _tested(first):
        return None, None
    try:
        return first.test_rows(variables), f"the {split} rows of all"
    except SparkNNError as error:
        notes.append(f"No test of the difference: {error.message} `--on ROWS` names rows for it.")
        return None, None


def _figures(model: "Model", frame: "DataFrame", place: int) -> dict[str, Any]:
    others = [SCORED.format(n) for n in range(MOST) if n != place]
    return model.task.evaluate(frame.drop(*others).withColumnRenamed(SCORED.format(place), "prediction"), model.meta)


def _tested(model: "Model") -> bool:
    """Return whether two models of this kind can be tested against each other."""
    metrics = model.metrics
    return "r2" in metrics or ("accuracy" in metrics and "entities" not in metrics)


def _steps(model: "Model") -> str:
    queries = model.meta.get("queries") or []
    kept = [{key: value for key, value in query.items() if key != "learnt"} for query in queries]
    return repr((kept, model.meta["preprocess"][: max((q["before"] for q in queries), default=0)]))


def _judged_on(model: "Model") -> str:
    """Return a text that two models share where they were evaluated on the same rows, as far as their cells tell."""
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.models import Source

    split = model.meta.get("evaluated_on")
    data = Experiment.load(model.meta["spec"]).data
    source, plain = getattr(data, split or "test"), data.to_plain()
    if isinstance(source, Source) and split != "train":
        rows: Any = plain[split]
    else:
        keys = ("train", "validation", "test", "key", "image", "text", "features", "shape", "label")
        rows = [plain.get(key) for key in keys]
    return repr((split, rows, [q["sql"] for q in model.meta.get("queries") or []]))


def _tests(models: "Sequence[Model]", frame: "DataFrame") -> list[McNemar | ErrorDifference]:
    """Return the test of each pair, in the order of `_pairs`; [] for a task that has none."""
    from sparknn_magic.evaluate.paired import error_differences, mcnemar, right_or_wrong

    if not _tested(models[0]):
        return []
    if "r2" in models[0].metrics:
        errors = [_error(model, frame, SCORED.format(n)) for n, model in enumerate(models)]
        return list(error_differences(frame, errors, _pairs(models)))
    right = [_right(model, models, frame, SCORED.format(n)) for n, model in enumerate(models)]
    outcomes = right_or_wrong(frame, right)
    return [mcnemar(outcomes, a, b) for a, b in _pairs(models)]


def _right(model: "Model", models: "Sequence[Model]", frame: "DataFrame", scored: str) -> "Column":
    """Return whether a model is right in a row; null where it has no prediction or no model knows the label."""
    from pyspark.sql import functions as F

    from sparknn_magic.evaluate.spark import whole_column

    label = whole_column(frame, model.meta["spec"]["data"]["label"])
    guess = F.col(scored)
    classes = F.lit(sorted({name for each in models for name in each.classes}))
    if model.meta.get("several"):
        truth = F.array_sort(F.array_distinct(label))
        known = F.forall(label, lambda each: F.array_contains(classes, each))
        return F.when(guess["label"].isNotNull() & known, F.array_sort(guess["labels"]) == truth)
    truth = label.cast("string")
    return F.when(guess["label"].isNotNull() & F.array_contains(classes, truth), guess["label"] == truth)


def _error(model: "Model", frame: "DataFrame", scored: str) -> "Column":
    """Return prediction - label of a row; null where one of them is missing or not finite."""
    from pyspark.sql import functions as F

    from sparknn_magic.evaluate.spark import whole_column

    label = whole_column(frame, model.meta["spec"]["data"]["label"]).cast("double")
    error = F.col(scored)["prediction"].cast("double") - label
    return F.when(F.abs(error) < float("inf"), error)  # NaN is larger than any number for Spark
