"""Shelf scenes: pictures with true boxes to try detection on, composed by Spark of a sample. Runs on the driver."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from sparknn_magic.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ITEMS = "fashion-mnist"
COLUMNS = ("id", "image", "label")  # of products
TASK_SCENES = 64  # that a task composes; fewer are not worth one of their own


def shelf_scenes(
    spark: "SparkSession | None" = None,
    rows: int = 2000,
    seed: int = 0,
    *,
    split: str = "train",
    tilt: float = 3.0,
    hidden: float = 0.1,
    products: "DataFrame | None" = None,
) -> "DataFrame":
    """Return scenes of 4 to 12 products each, of 10 classes: id bigint, image (JPEG), boxes, labels array<string>.

    The products are those of the sample fashion-mnist, or your own, coloured, mirrored, 44 to 112 pixels large, one
    over the other, before walls of many kinds, in pictures of 288 to 352 pixels a side. `boxes` is
    array<array<float>>, x1, y1, x2, y2 in pixels, tight around each product, what is hidden of it included.

    spark: the active session if not given, or a new one. seed: another one gives other scenes; scene `id` of a seed is
    always the same, however many `rows` there are. split: "train" or "test", of the sample; no product is in both.
    tilt: degrees that a product leans to either side at most: on a shelf they stand, in a heap they do not. hidden: the
    share of a product that others may hide. Both make scenes harder.
    products: rows of id, image (JPEG or PNG, one bright thing on black) and label to take instead of the sample's; some
    hundred MB of them at most, for every executor is sent all. `split` then says nothing.
    Raises: DataError where rows is below 1, tilt not from 0 to 180, hidden not from 0 to 1, or where `products` has no
    rows or not these columns; UnknownName where the sample has no such split.
    """
    if rows < 1:
        raise DataError(f"shelf_scenes makes 1 scene or more, not {rows}.")
    for name, value, most in (("tilt", tilt, 180), ("hidden", hidden, 1)):
        if not 0 <= value <= most:
            raise DataError(f"shelf_scenes: {name} is a number from 0 to {most}, not {value}.")
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from sparknn_magic.data.boxes.compose import DRAWN, SCENES, Arrangement, composed_batches, drawn_batches
    from sparknn_magic.samples import sample

    if products is None:
        products = sample(ITEMS, spark, split)
    missing = [name for name in COLUMNS if name not in products.columns]
    if missing:
        raise DataError(f"the products have no column {' and no '.join(missing)}, only {', '.join(products.columns)}.")
    session, count = products.sparkSession, products.count()
    if not count:
        raise DataError("there are no products to compose scenes of.")

    stand = Arrangement(tilt, hidden)

    def draw(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return drawn_batches(batches, count, seed)

    def compose(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return composed_batches(batches, seed, stand)

    item = (F.row_number().over(Window.orderBy("id")) - 1).alias("item")
    numbered = products.select(item, "image", F.col("label").cast("string").alias("label"))
    tasks = max(1, rows // TASK_SCENES)
    drawn = session.range(0, rows, 1, numPartitions=tasks).mapInArrow(draw, DRAWN)
    standing = drawn.join(F.broadcast(numbered), "item").repartition(tasks, "id")
    scenes = standing.groupBy("id").agg(F.collect_list(F.struct("slot", "image", "label")).alias("items"))
    return scenes.mapInArrow(compose, SCENES)
