"""Real rows to try things on: the samples that packages bring, as DataFrames and views."""

from pathlib import Path
from typing import TYPE_CHECKING

from sparknn_magic import cluster, registry
from sparknn_magic.errors import UnknownName, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def sample(name: str, spark: "SparkSession | None" = None, split: str = "train") -> "DataFrame":
    """Return one split of the sample `name`, and register a temporary view of each of its splits.

    `sample("fashion-mnist")` registers `fashion_mnist`, its train split, and `fashion_mnist_test`. `spark` may be a
    classic or a Connect session; None takes the active one, or starts one. `registry.names("sample")` lists the names.

    A local session reads the Parquet file where it is installed. A cluster's executors need not see that folder, so
    there the driver sends the rows, some MB, with the query.
    Raises: UnknownName where there is no such sample or split.
    """
    item = registry.get("sample", name)
    paths: dict[str, Path] = item.build()
    if split not in paths:
        known = ", ".join(paths)
        raise UnknownName(f"the sample '{item.name}' has no split '{split}', only {known}.{did_you_mean(split, paths)}")
    if spark is None:
        from sparknn_magic.sessions import session

        spark = session()
    view = registry.fold(item.name)
    frames = {each: rows_of(path, spark) for each, path in paths.items()}
    for each, frame in frames.items():
        frame.createOrReplaceTempView(view if each == "train" else f"{view}_{each}")
    return frames[split]


def rows_of(path: Path, spark: "SparkSession") -> "DataFrame":
    """Return the rows of a Parquet file on this machine, read by Spark where Spark sees it, else sent by the driver."""
    import pyarrow.parquet
    from pyspark.errors import AnalysisException

    if cluster.is_local(spark):
        try:
            frame = spark.read.parquet(f"file://{path}")  # not `as_uri()`: Spark takes its %20 for the name itself
            frame.schema  # noqa: B018 - a Connect session looks for the file only now
            return frame
        except AnalysisException as error:
            # A Connect server that is local to another machine.
            if error.getCondition() != "PATH_NOT_FOUND":
                raise
    return spark.createDataFrame(pyarrow.parquet.read_table(path))
