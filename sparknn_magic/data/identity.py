"""Have the rows of a frame changed since the last run? A text that changes when they do, and only then.

Where Spark's optimized plan tells everything (files of Parquet or ORC, pictures in folders, and plain SQL over them),
the plan and the files' names, sizes and times are enough. Anything else is known by the hashes of its rows: frames
made in the notebook, results of Python functions, cached frames, databases.
"""

import re
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.sources import escape_glob

_NODES = (
    "Aggregate|Deduplicate|Distinct|Expand|Filter|Generate|GlobalLimit|Join|LocalLimit|Offset|Project|RebalancePartitions|"
    "Repartition|RepartitionByExpression|Sort|Union|Window"
)
_NODE = re.compile(rf"[\s:+-]*(?:{_NODES})\b(?!.*\bUDF\().*")
_RELATION = re.compile(r"[\s:+-]*Relation (?P<table>[\w.`]*)\[(?P<columns>.*)\] (?P<format>parquet|orc|binaryFile)")
_METADATA = ("_metadata.file_path", "_metadata.file_size", "_metadata.file_modification_time")


def identity(spark: SparkSession, frame: DataFrame, columns: list[Column]) -> list[str]:
    """Return texts that are the same as long as these columns of the rows are; one Spark job."""
    rows = frame.select(*[expression.alias(f"c{i}") for i, expression in enumerate(columns)])
    plan = readable_plan(optimized_plan(spark, rows))
    files = None if plan is None else _files(spark, rows, plan)
    kind = rows.schema.simpleString()
    if plan is None or files is None:
        return ["rows", kind, *_digest(rows)]
    return ["files", kind, plan, *_digest(files)]


def optimized_plan(spark: SparkSession, rows: DataFrame) -> str:
    """Return Spark's text of the optimized logical plan."""
    # Spark makes a view of the rows and drops it again, and with it the cache of a frame that has the very same plan.
    # The filter makes it another plan; the optimizer takes it away.
    text = spark.sql("EXPLAIN EXTENDED SELECT * FROM {rows}", rows=rows.where(F.lit(True))).collect()[0][0]
    return text.partition("== Optimized Logical Plan ==\n")[2].partition("\n== Physical Plan ==")[0].strip()


def readable_plan(text: str) -> str | None:
    """Return the plan without what differs from run to run; None where it does not tell which rows come out."""
    lines: list[str] = []
    relations: set[tuple[str, str, str]] = set()
    for line in text.splitlines():
        found = _RELATION.fullmatch(line)
        if found:
            relation = (found["table"], re.sub(r"#\d+L?", "", found["columns"]), found["format"])
            if (
                relation in relations and not found["table"]
            ):  # which of the files belong to which of the two cannot be told
                return None
            relations.add(relation)
            line = line.replace(found["columns"], relation[1])
        elif not _NODE.fullmatch(line) or re.search(r"\.\.\. \d+ more fields", line):
            return None
        lines.append(line)
    if not relations:
        return None
    numbers: dict[str, str] = {}  # Spark numbers expressions through the whole session
    return re.sub(r"#\d+", lambda m: numbers.setdefault(m[0], f"#{len(numbers)}"), "\n".join(lines))


def _files(spark: SparkSession, rows: DataFrame, plan: str) -> DataFrame | None:
    """Return path, size and time of the files; None where Spark does not give them."""
    if "] binaryFile" in plan:  # a file a row: too many paths to bring here
        listing = rows.select(*_METADATA)
        try:
            listing.schema  # noqa: B018 (a Connect session analyses only now)
        except AnalysisException:  # a join or an aggregate has lost them
            return None
        return listing
    paths = [escape_glob(unquote(path)) for path in rows.inputFiles()]
    if not paths:
        return None
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")  # its content is not read
    return reader.load(paths).select("path", "length", "modificationTime")


def _digest(rows: DataFrame) -> list[str]:
    hashes = F.xxhash64(*rows.columns).cast("decimal(38,0)")
    found = rows.agg(F.count(F.lit(1)), F.sum(hashes)).collect()[0]
    return [str(value) for value in found]
