"""The folder of prepared shards: found again by its fingerprint, or made anew. Runs on the driver.

<folder>/<fingerprint>/meta.json          what is known of the rows
<folder>/<fingerprint>/shards-1a2b3c4d/   Parquet
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from sparknn_magic import cluster
from sparknn_magic.causes import spark_cause
from sparknn_magic.data.columns import rows_error
from sparknn_magic.data.plan import RowsPlan
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.sources import SPARK_ERRORS, escape_glob
from sparknn_magic.data.splits import SPLITS
from sparknn_magic.data.store import read_text, write_text
from sparknn_magic.spec.experiment import Experiment

STALE = 24 * 3600  # seconds after which nobody reads or writes shards that no meta.json names


@contextmanager
def spark_says(experiment: Experiment) -> Iterator[None]:
    """Turn Spark's exceptions into one line, with the place of the rows in the cell."""
    try:
        yield
    except SPARK_ERRORS as error:
        raise rows_error(experiment, "train", f"the rows cannot be prepared: {spark_cause(error)}") from error


def make_or_find(
    plan: RowsPlan, folder: str, schema: str, make: Callable[[str], dict[str, Any]], *, fresh: bool
) -> tuple[str, dict[str, Any], bool]:
    """Return the URI of the plan's prepared rows, what is known of them, and whether they had been there before.

    `make` writes shards of this schema to the URI it is given, and returns what is to be kept of them: "rows" (by
    split) and "dropped" (reason, rows) among it.
    """
    uri = f"{folder}/{plan.fingerprint()[:16]}"
    known = _known(plan.spark, uri, schema)
    if known is not None and not fresh:
        return uri, known, True
    # A folder of their own: what another run of the same cell reads or writes is left alone.
    shards = f"shards-{uuid.uuid4().hex[:8]}"
    meta = {"shards": shards, **make(f"{uri}/{shards}")}
    write_text(plan.spark, f"{uri}/meta.json", json.dumps(meta))
    _tidy(uri, keep=shards, old=known["shards"] if known else None)
    return uri, meta, False


def read_shards(spark: SparkSession, uri: str, schema: str) -> DataFrame:
    """Return the rows of the shards in one folder."""
    return spark.read.schema(schema).parquet(escape_glob(uri))


def in_tasks(plan: RowsPlan, rows: DataFrame, tasks: int, partitions: int) -> DataFrame:
    """Return the rows in as many partitions as are worth it: one small file, say, one core would prepare alone.

    `tasks` are what the work is worth, `partitions` what the rows have by themselves.
    """
    if tasks > partitions:
        tasks = min(tasks, cluster.slots(plan.spark) or 1)
    return rows.repartition(tasks, "row") if tasks > partitions else rows


def kept_and_dropped(
    experiment: Experiment, before: Mapping[str, int], counted: Sequence[Any]
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Add up what is left of training and validation rows, and what was dropped by reason.

    `counted` are rows of shards with `split`, `error` and their number `n`; `before` is what there was of each split.
    Raises: DataError where a split had rows and none is left.
    """
    rows = {name: sum(r.n for r in counted if r.split == SPLITS[name]) for name in ("train", "validation")}
    dropped = reasons((r.error, r.n) for r in counted if r.split == DROPPED)
    _check_left(experiment, before, rows, dropped)
    return rows, dropped


def reasons(counted: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Add up dropped rows by their reason, sorted: [{"reason": ..., "rows": ...}]."""
    found: dict[str, int] = {}
    for reason, rows in counted:
        found[reason] = found.get(reason, 0) + rows
    return [{"reason": reason, "rows": rows} for reason, rows in sorted(found.items())]


def _check_left(
    experiment: Experiment, before: Mapping[str, int], rows: Mapping[str, int], dropped: list[dict[str, Any]]
) -> None:
    """Raise DataError where a split had rows and has none after unusable ones were dropped."""
    most = sorted(dropped, key=lambda each: -each["rows"])[:3]
    why = "; ".join(f"{each['rows']:,} rows: {each['reason']}" for each in most)
    for name in ("train", "validation"):
        if before[name] and not rows[name]:
            place = name if name == "validation" and experiment.data.validation is not None else "train"
            message = f"no {'training' if name == 'train' else 'validation'} row is usable ({why})."
            raise rows_error(experiment, place, message)


def _known(spark: SparkSession, uri: str, schema: str) -> dict[str, Any] | None:
    """Return what was written of the shards; None where they are missing, or are not whole."""
    text = read_text(spark, f"{uri}/meta.json")
    if text is None:
        return None
    meta: dict[str, Any] = json.loads(text)
    expected = sum(meta["rows"].values()) + sum(each["rows"] for each in meta["dropped"])
    return meta if _count(spark, f"{uri}/{meta['shards']}", schema) == expected else None


def _count(spark: SparkSession, uri: str, schema: str) -> int:
    try:
        return read_shards(spark, uri, schema).count()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return 0
        raise


def _tidy(uri: str, keep: str, old: str | None) -> None:
    """Remove shards that nothing names any more. Only on this machine: Spark removes no folders."""
    for path in Path(uri).glob("shards-*") if "://" not in uri else ():
        if path.name == old or (path.name != keep and time.time() - path.stat().st_mtime > STALE):
            shutil.rmtree(path)
