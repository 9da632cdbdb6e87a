"""Shelf scenes: pictures with true boxes to try detection on, composed by Spark of a sample. Runs on the driver."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from sparknn_magic.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ITEMS = "fashion-mnist"
TASK_SCENES = 64  # that a task composes; fewer are not worth one of their own


def shelf_scenes(
    spark: "SparkSession | None" = None, rows: int = 2000, seed: int = 0, *, split: str = "train"
) -> "DataFrame":
    """Return scenes of 4 to 12 products each, of 10 classes: id bigint, image (JPEG), boxes, labels array<string>.

    The products are those of the sample fashion-mnist, coloured, tilted, 44 to 112 pixels large, one over the other so
    that of none more than 30 % is hidden, before walls of many kinds, in pictures of 288 to 352 pixels a side. `boxes`
    is array<array<float>>, x1, y1, x2, y2 in pixels, tight around each product, what is hidden of it included.

    spark: the active session if not given, or a new one. seed: another one gives other scenes; scene `id` of a seed is
    always the same, however many `rows` there are. split: "train" or "test", of the sample; no product is in both.
    Raises: DataError where rows is below 1; UnknownName where the sample has no such split.
    """
    if rows < 1:
        raise DataError(f"shelf_scenes makes 1 scene or more, not {rows}.")
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from sparknn_magic.data.boxes.compose import DRAWN, SCENES, composed_batches, drawn_batches
    from sparknn_magic.samples import sample

    products = sample(ITEMS, spark, split)
    session, count = products.sparkSession, products.count()

    def draw(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return drawn_batches(batches, count, seed)

    def compose(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return composed_batches(batches, seed)

    item = (F.row_number().over(Window.orderBy("id")) - 1).alias("item")
    numbered = products.select(item, "image", "label")
    tasks = max(1, rows // TASK_SCENES)
    drawn = session.range(0, rows, 1, numPartitions=tasks).mapInArrow(draw, DRAWN)
    standing = drawn.join(F.broadcast(numbered), "item").repartition(tasks, "id")
    scenes = standing.groupBy("id").agg(F.collect_list(F.struct("slot", "image", "label")).alias("items"))
    return scenes.mapInArrow(compose, SCENES)
