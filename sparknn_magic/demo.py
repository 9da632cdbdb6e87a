"""`sparknn demo`: the whole main job on a sample's rows, in one call: pictures, texts, or things in pictures."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from sparknn_magic.errors import UnknownName, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknn_magic.model import Model

WORKERS = 2
PICTURES = """\
task: image-classification
data:
  train: SELECT image, label FROM fashion_mnist
  validation: 10%
  test: fashion_mnist_test
augment:
- random_horizontal_flip
model:
  resnet9: {width: 8}
train:
  epochs: 12
  batch_size: 64
  optimizer: {adamw: {lr: 1e-2, weight_decay: 0.05}}
  schedule: one_cycle
  workers: 2
export: models/fashion
"""
TEXT = """\
task: text-classification
data:
  train: help_desk
  text: text
  label: intent
  validation: 10%
  test: help_desk_test
preprocess:
- nfkc
- lowercase
- mask_emails
- mask_urls
model: fasttext
train:
  epochs: 40
  batch_size: 16
  workers: 2
export: models/intent
"""
DETECT = """\
task: object-detection
data:
  train: shelves
  validation: 10%
  test: shelves_test
preprocess:
- letterbox: 224
augment:
- random_horizontal_flip
model: centernet
train:
  epochs: 4
  batch_size: 4
  workers: 2
export: models/shelf
"""
SCENES, TEST_SCENES = 1000, 120
SHORT = """\
This is a short training: 4 passes over 900 scenes, which `augment` only mirrors. A cell that leaves out these
settings passes 100 times, and changes size, place and colours as well: it takes longer, and finds more."""


def _sample(name: str, spark: "SparkSession") -> None:
    """Register the views of a sample."""
    from sparknn_magic.samples import sample

    sample(name, spark)


def _shelves(spark: "SparkSession") -> None:
    """Register the views `shelves` and `shelves_test`: scenes that Spark composes once and keeps."""
    from sparknn_magic.data.boxes.shelf import shelf_scenes

    for view, rows, split in (("shelves", SCENES, "train"), ("shelves_test", TEST_SCENES, "test")):
        shelf_scenes(spark, rows, split=split).persist().createOrReplaceTempView(view)


class Demo(NamedTuple):
    """Rows, and what is done with them."""

    name: str  # of the model
    rows: "Callable[[SparkSession], None]"  # registers their views
    words: str  # what the rows are
    cell: str
    queries: tuple[str, ...]
    note: str = ""  # what is to be known of the cell


DEMOS = {
    "pictures": Demo(
        "fashion",
        partial(_sample, "fashion-mnist"),
        "Fashion-MNIST, real product pictures",
        PICTURES,
        ("SELECT fashion(image).label AS predicted, count(*) AS rows FROM fashion_mnist_test GROUP BY 1",),
    ),
    "text": Demo(
        "intent",
        partial(_sample, "help-desk"),
        "messages to a help desk, in English and Chinese",
        TEXT,
        (
            "SELECT intent(text).label AS predicted, count(*) AS rows FROM help_desk_test GROUP BY 1",
            "SELECT left(text, 60) AS text, intent(text, 0.5).label AS sure FROM help_desk_test ORDER BY id LIMIT 8",
        ),
    ),
    "detect": Demo(
        "shelf",
        _shelves,
        "shelves with 4 to 12 products each, composed by Spark of Fashion-MNIST's pictures",
        DETECT,
        (
            "SELECT id, size(labels) AS products, size(shelf(image, 0.25).objects) AS found "
            "FROM shelves_test ORDER BY id LIMIT 8",
            "SELECT object.label AS product, count(*) AS found, round(avg(object.score), 2) AS score "
            "FROM (SELECT explode(shelf(image, 0.25).objects) AS object FROM shelves_test) GROUP BY 1 ORDER BY 2 DESC",
        ),
        SHORT,
    ),
}


def demo(what: str = "pictures", *, runs: str | None = None) -> "Model":
    """Train on a sample with two workers, score its test rows, print figures and where things are.

    what: "pictures", "text" or "detect". runs: folder of prepared data, checkpoints and reports.
    Raises: SessionError where Spark cannot be started; UnknownName where there is no such demo.
    """
    from sparknn_magic.cluster import slots
    from sparknn_magic.run import train
    from sparknn_magic.sessions import session
    from sparknn_magic.show.text import metrics_table
    from sparknn_magic.show.words import near

    if what not in DEMOS:
        raise UnknownName(f"there is no demo '{what}', only {', '.join(DEMOS)}.{did_you_mean(what, DEMOS)}")
    shown = DEMOS[what]
    started = time.perf_counter()
    spark = session("sparknn-demo")
    shown.rows(spark)
    print(f"This is the cell that runs now ({shown.words}):", end="\n\n")
    print(f"%%sparknn train {shown.name}\n{shown.cell}")
    if shown.note:
        print(shown.note, end="\n\n")
    workers = min(WORKERS, slots(spark) or WORKERS)  # a machine with one core trains with one worker
    model = train(shown.cell, name=shown.name, overrides=[f"train.workers={workers}"], spark=spark, runs=runs)
    print(f"\n{metrics_table(model.metrics, evaluated_on=model.meta['evaluated_on'])}")
    for query in shown.queries:
        _show(spark, query)
    print(f"model folder  {near(model.folder)}")
    print(f"report        {near(model.report)}")
    print(f"in all        {time.perf_counter() - started:.0f} s")
    return model


def _show(spark: "SparkSession", query: str) -> None:
    """Print a query and its rows."""
    from sparknn_magic.show.words import table

    frame = spark.sql(query)
    rows: list[Sequence[Any]] = [frame.columns, *frame.collect()]
    cells = [["-" if value is None else str(value) for value in row] for row in rows]
    aligned = "".join("r" if kind in ("int", "bigint", "double") else "l" for _, kind in frame.dtypes)
    print(f"{query}\n\n{table(cells, aligned, indent='  ')}\n")
