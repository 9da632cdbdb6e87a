"""A user reads one line, whatever Spark printed. The errors are real ones, of both kinds of sessions."""

import json
import sys

import pytest

from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import DataError

# Each is run on the session `spark` and fails; what the user reads, the same on both kinds of sessions.
MISTAKES = {
    "unknown column": (
        "spark.sql('SELECT nope FROM range(3)').collect()",
        "A column, variable, or function parameter with name `nope` cannot be resolved. Did you mean one of the "
        "following? [`id`]. (line 1, position 8 of the query)",
    ),
    "unknown table": (
        "spark.table('nosuch').collect()",
        "The table or view `nosuch` cannot be found. Verify the spelling and correctness of the schema and catalog.",
    ),
    "syntax": ("spark.sql('SELEC 1')", "Syntax error at or near 'SELEC'. (line 1, position 1 of the query)"),
    "missing path": ("spark.read.parquet('/no/such/path').collect()", "Path does not exist: file:/no/such/path."),
    "raised in SQL": ("spark.sql(\"SELECT raise_error('boo')\").collect()", "boo"),
    "not Parquet": ("spark.read.schema('a int').parquet(__file__).collect()", "is not a Parquet file"),
    "Python function": ("spark.range(3).mapInArrow(fails, 'id long').collect()", "ValueError: bad row"),
    "barrier stage": (
        "spark.range(3).repartition(2).mapInArrow(fails, 'id long', barrier=True).collect()",
        "ValueError: bad row",
    ),
    "our own": ("spark.range(3).mapInArrow(ours, 'id long').collect()", "no text. Lower min_count."),
    "chained": ("spark.range(3).mapInArrow(chained, 'id long').collect()", "KeyError: 'outer'"),
    "worker killed": (
        "spark.range(3).repartition(1).mapInArrow(dies, 'id long').collect()",
        "a Python worker died without a word: killed by the system, most often for want of memory, or stopped by a "
        "fault in native code.",
    ),
    "missing module": (
        "spark.range(3).mapInArrow(imports, 'id long').collect()",
        "ModuleNotFoundError: No module named 'nothere_at_all'",
    ),
}
SCRIPT = """
import json
from sparknn_magic.causes import spark_cause
from sparknn_magic.sessions import adopt
def fails(batches):
    raise ValueError("bad row\\nand a second line")
    yield
def chained(batches):
    try:
        raise ValueError("inner")
    except ValueError as error:
        raise KeyError("outer") from error
    yield
def ours(batches):
    from sparknn_magic.errors import DataError
    raise DataError("no text.", hint="Lower min_count.")
    yield
def dies(batches):
    import os
    os._exit(3)
    yield
def imports(batches):
    import nothere_at_all
    yield
spark = adopt(spark)
causes = {}
for name, code in json.loads(MISTAKES).items():
    try:
        eval(code)
        causes[name] = "no error"
    except Exception as error:
        causes[name] = spark_cause(error)
print("CAUSES", json.dumps(causes))
"""


def causes_of(done) -> dict[str, str]:
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("CAUSES"))[7:])


@pytest.mark.parametrize("connect", [False, True], ids=["classic", "connect"])
def test_every_mistake_is_told_in_one_line_without_java(run_script, connect):
    code = f"MISTAKES = {json.dumps({name: code for name, (code, _) in MISTAKES.items()})!r}\n" + SCRIPT
    if not connect:
        code = "from sparknn_magic.sessions import session\nspark = session()\n" + code
    done = run_script(code, connect=connect)
    causes = causes_of(done)
    for name, (_, wanted) in MISTAKES.items():
        assert causes[name] == wanted or (name == "not Parquet" and wanted in causes[name]), (name, causes[name])
        assert "\n" not in causes[name]
        assert "SQLSTATE" not in causes[name]
    assert "SQLQueryContextLogger" not in done.stderr
    if not connect:  # a server that others start writes what they have set; ours is quiet
        assert "java." not in done.stderr, done.stderr


def test_workers_without_our_packages_name_the_setting():
    # The words of a worker on another Python, which this suite cannot start.
    said = (
        "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'pyarrow'\n SQLSTATE: 38000"
    )
    cause = spark_cause(RuntimeError(said))
    assert cause.startswith("Spark's Python workers have no module 'pyarrow', which this process has")
    assert f"Set PYSPARK_PYTHON to {sys.executable}" in cause


def test_our_own_errors_keep_their_words():
    assert spark_cause(DataError("there are no rows.", hint="Look at the query.")) == "there are no rows."


def test_any_other_exception_gives_its_first_line_or_its_name():
    assert spark_cause(OSError("disk full\nmore")) == "disk full"
    assert spark_cause(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_long_message_is_cut():
    assert len(spark_cause(RuntimeError("x" * 9999))) == 500
