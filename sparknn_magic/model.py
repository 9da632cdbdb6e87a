"""A trained model in Python: what `train` returns, `load` reads, and a notebook's variable holds."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic import cluster, registry
from sparknn_magic.bundle.folder import MODEL, copy_bundle, read_bundle
from sparknn_magic.errors import SparkNNError, SpecError
from sparknn_magic.plugin import Part
from sparknn_magic.rows import column_of, rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.stream import Stream
    from sparknn_magic.task import Task


class Model:
    """A model folder and the Spark session it is used in."""

    def __init__(self, meta: dict[str, Any], folder: Path, spark: "SparkSession", *, report: Path | None = None):
        self.meta, self.folder, self.spark, self.report = meta, Path(folder), spark, report
        self._test: DataFrame | None = None  # the rows that `evaluate()` takes when it is given none

    @property
    def name(self) -> str:
        """The name in Python and in SQL."""
        return self.meta["name"]

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of `probabilities`."""
        return list(self.meta["classes"])

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of the test rows (of the validation rows where there were none), computed by Spark."""
        return self.meta["metrics"]

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict an epoch: losses, accuracies, learning rate, seconds, rows per second."""
        return self.meta["training"]["history"]

    @property
    def task(self) -> "Task":
        """The task's plugin."""
        return registry.get("task", self.meta["task"]).build()

    def udf(self, *, mode: str = "permissive", providers: tuple[str, ...] | list[str] = ("auto",)) -> Any:
        """Return the model as a Spark function of its input columns, giving what its SQL function gives.

        That is the prediction struct, or where the struct has an array alone beside the error, the array.

        `mode` is permissive (a row that cannot be scored has its reason in `error`) or failfast. `providers` are ONNX
        Runtime's, in order: auto, or names such as CUDAExecutionProvider, which must then be there. A function of some
        columns cannot run SQL steps: where the model has any that change these, `predict` is the way.
        """
        job = self.task.function(self.meta)
        return _udf(self.meta, self.folder / MODEL, self.spark, mode, tuple(providers), job=job)

    def predict(
        self,
        data: Any,
        *,
        column: str | None = None,
        output: str = "prediction",
        mode: str = "permissive",
        providers: tuple[str, ...] | list[str] = ("auto",),
        variables: Mapping[str, Any] | None = None,
    ) -> "DataFrame":
        """Return the rows of `data` with the column `prediction` added; batch and streaming frames alike.

        `data` is a DataFrame, SQL, a table, a view or a path; `column` the input column (default: the one trained on).
        `mode`: permissive, dropmalformed (rows that cannot be scored are left out) or failfast. SQL steps under
        `preprocess` compute their columns here too, but choose no rows: a warning says what of them is left out.
        Raises: SpecError, DataError.
        """
        frame, meta = self.preprocessed(rows_of(self.spark, data, variables), column)
        return self._predict(frame, meta, column, output, mode, tuple(providers))

    def stream(
        self,
        data: Any,
        into: str,
        *,
        column: str | None = None,
        mode: str = "permissive",
        providers: tuple[str, ...] | list[str] = ("auto",),
        checkpoint: str | None = None,
        once: bool = False,
        variables: Mapping[str, Any] | None = None,
        runs: str | Path | None = None,
    ) -> "Stream":
        """Start a Spark query that predicts rows as they arrive, and writes them with the column `prediction` on.

        `data` is a streaming DataFrame, a view of one, SQL over these, a table, or a folder into which pictures or
        Parquet files are moved. `into` is a table, or a folder for Parquet files where there is a / in it. What was
        done stands in the `checkpoint` (default: below `runs`, or in the folder): a query that was stopped or killed
        goes on there, and no row is lost or written twice. With `once` it ends when what is there now is done.
        Other arguments are as in `predict`.
        Raises: SpecError, DataError.
        """
        from sparknn_magic import stream

        rows = rows_of(self.spark, data, variables, stream=True)
        scored = self.predict(rows, column=column, mode=mode, providers=providers)
        return stream.start(scored, self.name, into, checkpoint=checkpoint, once=once, runs=runs)

    def scored(
        self, data: Any = None, *, variables: Mapping[str, Any] | None = None
    ) -> "tuple[DataFrame, dict[str, Any]]":
        """Return labelled rows with their predictions, and the meta by which the task reads these rows.

        `data` is what `predict` takes; without it, the model's own test rows. The meta tells which of the steps are
        behind the rows already: those before an SQL step. Raises: as `predict`, and as `evaluate` does without rows.
        """
        if data is None:
            return self.predict_prepared(self.test_rows(variables)), prepared_meta(self.meta)
        frame, meta = self.preprocessed(rows_of(self.spark, data, variables), None)
        return self._predict(frame, meta, None, "prediction", "permissive", ("auto",)), meta

    def predict_prepared(self, frame: "DataFrame", output: str = "prediction") -> "DataFrame":
        """Return predictions for rows to which the SQL steps have been applied already: those of training."""
        return self._predict(frame, prepared_meta(self.meta), None, output, "permissive", ("auto",))

    def _predict(
        self, frame: "DataFrame", meta: dict[str, Any], column: str | None, output: str, mode: str, providers: Any
    ) -> "DataFrame":
        from sparknn_magic.infer.spark import predict

        columns = self.input_columns(frame, column)
        kind = "failfast" if mode == "failfast" else "permissive"
        # The streaming queries of a Connect session do not see its files.
        inside = cluster.is_connect(self.spark) and frame.isStreaming
        udf = _udf(meta, self.folder / MODEL, self.spark, kind, providers, once=True, inside=inside)
        return predict(frame, udf, columns, mode=mode, name=output)

    def preprocessed(self, frame: "DataFrame", column: str | None) -> "tuple[DataFrame, dict[str, Any]]":
        """Run on rows what a prediction runs of the SQL steps; the meta then tells which plugins are done with."""
        queries = self.meta.get("queries") or []
        if not queries:
            return frame, self.meta
        from sparknn_magic.data.sql_steps import StoredStep, predict_frame, with_pictures
        from sparknn_magic.shipping import described_part

        steps = [StoredStep(**query) for query in queries]
        left_out = [f"{step.skipped} (SQL step {n})" for n, step in enumerate(steps, 1) if step.skipped]
        if left_out:
            message = f"{self.name}: a prediction keeps all rows and leaves out {'; '.join(left_out)}."
            warnings.warn(message, stacklevel=3)

        def pictures(rows: "DataFrame", first: int, last: int) -> "DataFrame":
            parts = [described_part("preprocessor", step) for step in self.meta["preprocess"][first:last]]
            return with_pictures(rows, self.input_columns(rows, column)[0], parts)

        label = self.meta["spec"]["data"].get("label", "")
        frame, done, left = predict_frame(frame, steps, label=label, pictures=pictures)
        if left is not None:
            more = " and those behind it are" if left < len(steps) else " is"
            message = f"{self.name}: SQL step {left} reads a column that these rows have not; it{more} left out."
            warnings.warn(message, stacklevel=3)
        return frame, self.meta | {"done": done}

    def embed(
        self,
        data: Any,
        *,
        column: str | None = None,
        output: str = "features",
        mode: str = "permissive",
        providers: tuple[str, ...] | list[str] = ("auto",),
        variables: Mapping[str, Any] | None = None,
    ) -> "DataFrame":
        """Return the rows of `data` with the column `features` added: an MLlib vector, what the last layer is given.

        The vectors of rows that the network takes to be alike are near each other: for clustering, similarity search
        and other models. A row that cannot be read has a null (mode permissive), is left out (dropmalformed), or ends
        the job (failfast). Other arguments are as in `predict`.
        Raises: SpecError, DataError.
        """
        from sparknn_magic.infer.job import FEATURES
        from sparknn_magic.infer.spark import embed

        frame, meta = self.preprocessed(rows_of(self.spark, data, variables), column)
        columns = self.input_columns(frame, column)
        write = Part("sparknn_magic.infer.worker:features_writer")
        how: dict[str, Any] = {"write": write, "outputs": ("features",), "result": FEATURES}
        kind = "failfast" if mode == "failfast" else "permissive"
        udf = _udf(meta, self.folder / MODEL, self.spark, kind, tuple(providers), once=True, **how)
        return embed(frame, udf, columns, mode=mode, name=output)

    def search(
        self,
        data: Any,
        queries: Any,
        k: int = 5,
        *,
        column: str | None = None,
        query_column: str | None = None,
        providers: tuple[str, ...] | list[str] = ("auto",),
        variables: Mapping[str, Any] | None = None,
    ) -> "DataFrame":
        """Return for each row of `queries` the `k` rows of `data` that the model takes to be most like it, by Spark.

        The columns of the queries with rank (1 is the nearest), score (the cosine of the two rows' features, -1 to 1),
        match (a struct: the row of `data`) and error added. Exact: every query is compared with every row. A query
        that cannot be read has one row, with nulls and the reason in `error`; rows of `data` that cannot be read are
        left out. Equal scores are ordered by a hash of the row.

        `data` and `queries` are rows as `predict` takes them, the queries of a model of texts also a list of strings;
        `column` and `query_column` are the input column of each (default: the one that the model was made with).
        Raises: SpecError, DataError.
        """
        from sparknn_magic.infer.search import VECTOR, WRITE, Side, search

        how: dict[str, Any] = {"write": WRITE, "outputs": ("features",), "result": VECTOR}
        if isinstance(queries, list | tuple):
            queries = self._listed(queries, query_column)

        def side(rows: Any, name: str | None) -> Side:
            frame, meta = self.preprocessed(rows_of(self.spark, rows, variables), name)
            udf = _udf(meta, self.folder / MODEL, self.spark, "permissive", tuple(providers), once=True, **how)
            return Side(frame, self.input_columns(frame, name), udf)

        return search(side(data, column), side(queries, query_column), k)

    def _listed(self, values: Any, column: str | None) -> "DataFrame":
        """Return strings as rows of the model's one column."""
        names = self.task.columns(self.meta)
        if len(names) > 1 or not all(value is None or isinstance(value, str) for value in values):
            raise SpecError("search: a list of queries is one of strings, for a model of one column.")
        from pyspark.sql.types import StringType, StructType

        schema = StructType().add(column or names[0], StringType())
        return self.spark.createDataFrame([(value,) for value in values], schema)

    def input_columns(self, frame: "DataFrame", column: str | None) -> list[str]:
        """Return the model's input columns by the names that they have in the frame."""
        names = self.task.columns(self.meta)
        if column is not None and len(names) > 1:
            raise SpecError(f"{self.name} takes {len(names)} columns: {', '.join(names[:8])}; 'column' names only one.")
        return [column_of(frame, name) for name in ([column] if column is not None else names)]

    def evaluate(self, data: Any = None, *, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the metrics of labelled rows: of `data` (as `predict` takes it), or of the model's own test rows.

        Raises: DataError where there are no rows with a known label, SpecError where the test rows are not known here.
        """
        if data is None:
            return self._figures(self.predict_prepared(self.test_rows(variables)))
        return self._figures(self.predict(data, variables=variables))

    def examples(self, count: int | str = 9, *, variables: Mapping[str, Any] | None = None) -> "Examples":
        """Return some of the model's own test rows with what it says of them, drawn by a hash of their inputs.

        In a notebook it shows itself; `page()` gives an HTML document, `print` text.
        Raises: SpecError where the test rows are not known here, or the task has nothing to look at.
        """
        from pyspark.sql import functions as F

        if not re.fullmatch(r"0*[1-9]\d{0,3}", str(count)):
            raise SpecError(f"examples: '{count}' is no number of rows.", hint="Write a whole number from 1 to 9999.")
        rows = self.test_rows(variables)
        inputs = [F.col(f"`{name.replace('`', '``')}`") for name in self.input_columns(rows, None)]
        # Limited before the model runs: after it, Spark would score all rows to show these.
        few = self.predict_prepared(rows.orderBy(F.xxhash64(*inputs)).limit(int(count) * self.task.choice))
        found = self.task.examples(few, prepared_meta(self.meta), int(count))
        if found is None:
            raise SpecError(f"{self.name}: rows of the task {self.meta['task']} have no labels to look at.")
        return found

    def _figures(self, scored: "DataFrame") -> dict[str, Any]:
        from sparknn_magic.evaluate.custom import asked_for, with_custom

        if not any(asked_for(self.meta)):
            return self.task.evaluate(scored, self.meta)
        scored = scored.persist()  # looked at twice, and the model runs once on each row
        try:
            return with_custom(self.task.evaluate(scored, self.meta), scored, self.meta)
        finally:
            scored.unpersist()

    def test_rows(self, variables: Mapping[str, Any] | None = None) -> "DataFrame":
        """Return the rows that the model was evaluated on, as their source and the SQL steps give them now."""
        if self._test is not None:
            return self._test
        from sparknn_magic.run import evaluation_rows
        from sparknn_magic.spec.experiment import Experiment

        experiment = Experiment.load(self.meta["spec"], variables=variables)
        try:
            return evaluation_rows(self.spark, experiment)[0]
        except SparkNNError as error:
            raise SpecError(
                f"the rows that {self.name} was tested on are not here: {error.message}",
                hint="Give rows: a DataFrame, SQL, a table or a path.",
            ) from error

    def register(self, name: str | None = None, *, mode: str = "permissive") -> "Model":
        """Make the model an SQL function of this session: `SELECT name(image).label FROM t`."""
        from sparknn_magic.infer.spark import register

        register(self.spark, name or self.name, self.udf(mode=mode))
        return self

    def save(self, folder: str | Path) -> Path:
        """Copy the model folder; the copy appears whole or not at all. Returns its path."""
        copy_bundle(self.folder, Path(folder))
        return Path(folder)

    def __repr__(self) -> str:
        from sparknn_magic.show.text import model_text
        from sparknn_magic.show.words import near

        where = f"\n\nmodel folder  {near(self.folder)}" + (
            f"\nreport        {near(self.report)}" if self.report else ""
        )
        return model_text(self.meta).rstrip() + where

    def _repr_html_(self) -> str:
        from sparknn_magic.show.html import model_html, places_html

        return model_html(self.meta) + places_html(self.folder, self.report)


def _udf(
    meta: Mapping[str, Any],
    file: Path,
    spark: "SparkSession",
    mode: str,
    providers: tuple[str, ...],
    *,
    once: bool = False,
    inside: bool = False,
    job: "InferJob | None" = None,
    **how: Any,
) -> Any:
    from sparknn_magic.infer.spark import model_udf

    task: Task = registry.get("task", meta["task"]).build()
    if how.get("outputs") == ("features",) and not task.features:
        raise SpecError(f"{meta['name']}: {meta['task']} answers for parts of a row; a row as a whole has no features.")
    columns = len(task.columns(meta))
    job = job or task.inference(meta)
    job = replace(job, digest=meta["files"][MODEL], providers=providers, mode=mode, columns=columns, **how)
    return model_udf(job, file, spark, once=once, inside=inside)


def prepared_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the meta for rows that the SQL steps, and the plugins before them, have been applied to."""
    return meta | {"done": max((query["before"] for query in meta.get("queries") or []), default=0)}


def load(folder: str | Path, *, spark: "SparkSession | None" = None, register: bool = True) -> Model:
    """Read a model folder, checking every file; make it an SQL function of the session unless `register` is False.

    Raises: BundleError where the folder is missing, incomplete or changed; PluginError where it needs a plugin that
    is not installed.
    """
    from sparknn_magic.sessions import adopt, session

    meta = read_bundle(folder)
    model = Model(meta, Path(folder), adopt(spark) if spark is not None else session())
    return model.register() if register else model
