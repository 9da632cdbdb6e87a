"""A look at rows of pictures before training: sizes, formats, broken ones, copies, and a few of them. On the driver."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknn_magic import cluster
from sparknn_magic.data.columns import column, same_name
from sparknn_magic.data.folder import spark_says
from sparknn_magic.data.job import check_image_type
from sparknn_magic.data.plan import PicturePlan, Plan
from sparknn_magic.data.preview.findings import Broken, Counted, Findings, Grid, Twins
from sparknn_magic.data.preview.near import find_near
from sparknn_magic.data.preview.rows import (
    COUNTING,
    INSPECTING,
    Say,
    count_both,
    drawn,
    find_copies,
    group_words,
    inspected,
    left_out,
    most_frequent,
    spreads,
)
from sparknn_magic.data.preview.worker import PICTURES, PictureJob, look_at_pictures
from sparknn_magic.data.spark import with_larger_tasks
from sparknn_magic.data.splits import TEST, TRAIN, picture
from sparknn_magic.data.worker import image_reader, map_pictures
from sparknn_magic.spec.models import Source

MOST = 50_000  # pictures that are looked at, where the user does not say
SHOWN = 8  # pictures of the grid
EXAMPLES = 4  # of copies, and of broken rows
SIDE = 160  # pixels of the longer side of a picture that is shown


def look(plan: Plan, most: int | None, inspect: Callable[[Any], Any], say: Say) -> Findings:
    """Return what is found of pictures with a class each; at most about `most` of them are decoded.

    Raises: DataError with the place in the cell where Spark cannot read the rows.
    """
    with spark_says(plan.experiment):
        sample = Sample(plan, most, say)
        classes = sample.classes
        say(INSPECTING)
        found, stops = inspected(inspect, sample.plan)
        with sample:
            sides = sample.common(classes)
            say("bringing a few pictures")
            grid = _grid(sample, found)
        return replace(sides, classes=classes, stops=stops, grid=grid, notes=tuple(sample.notes))


class Sample:
    """The pictures that are looked at, and what every kind of task wants to know of them.

    As a context it keeps what was found of each row; `every` are all rows: split, label, row, image, and any others.
    """

    def __init__(self, plan: PicturePlan, most: int | None, say: Say):
        say(COUNTING)
        self.say = say
        self.notes: list[str] = []
        self.plan: Any = with_larger_tasks(plan)
        self.kind = check_image_type(plan.rows.schema["image"].dataType.simpleString(), shape=plan.shape)
        self.every = self._every()
        self.key = F.when(F.col("image").isNotNull(), F.xxhash64(*picture("image", self.kind)))
        self.classes, self.rows, partitions = count_both(self.every)
        total, most = sum(self.rows.values()), most or MOST
        self.most, self.sampled = most, total > most
        self.used = drawn(self.every, self.key, total, most)
        slots = cluster.slots(plan.spark) or 1
        # One small file, say, that one core would decode alone.
        self.tasks = slots if partitions < slots else None
        self.plan = replace(self.plan, rows=drawn(self.plan.rows, self.key, total, most))

    def _every(self) -> DataFrame:
        """Return the rows of all splits; those of a test source of its own too, where it holds pictures alike."""
        plan, rows = self.plan, self.plan.rows  # of a folder's files in larger tasks
        if "label" not in rows.columns:
            rows = rows.withColumn("label", F.lit(None).cast("string"))
        rows = rows.select("split", "label", "row", "image")
        if plan.test is None or not isinstance(plan.experiment.data.test, Source):
            return rows
        names = same_name(plan.test, plan.experiment.data.image)
        if len(names) != 1 or plan.test.schema[names[0]].dataType != rows.schema["image"].dataType:
            self.notes.append("The test rows hold their pictures in another way: they are not looked at here.")
            return rows
        labels = same_name(plan.test, plan.experiment.data.label) if "label" in plan.rows.columns else []
        label = column(labels[0]).cast("string") if len(labels) == 1 else F.lit(None).cast("string")
        image = column(names[0])
        key = F.xxhash64(*picture(names[0], self.kind))
        test = plan.test.select(
            F.lit(TEST).alias("split"), label.alias("label"), key.alias("row"), image.alias("image")
        )
        return rows.unionAll(test)

    def __enter__(self) -> "Sample":
        job = PictureJob(self.plan.steps, self.plan.shape)

        def looked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            return look_at_pictures(batches, job)

        size = F.length("image") if self.kind == "encoded" else F.lit(None)
        used = self.used.repartition(self.tasks, "row") if self.tasks else self.used
        given = used.select("split", "label", self.key.alias("key"), size.cast("bigint").alias("bytes"), "image")
        self.seen = given.mapInArrow(looked, PICTURES).persist()
        return self

    def __exit__(self, *_: object) -> None:
        self.seen.unpersist()

    def common(self, classes: Counted | None = None) -> Findings:
        """Return what is found of pictures of any task; with classes, their labels must be among them."""
        seen = self.seen
        self.say(f"decoding {min(self.most, sum(self.rows.values())):,} pictures, and looking for copies")
        equal = find_copies(seen, "key", "equal bytes" if self.kind == "encoded" else "equal pixels", EXAMPLES)
        self.say("looking for like pictures")
        near = find_near(seen, EXAMPLES)
        keys = [r.key for r in equal[1]] + [key for r in near.pairs for key in (r.key, r.other)]
        shown = self.pictures(keys)
        alike = tuple(
            Twins(f"{r.bits} bits differ", pictures=(shown[r.key], shown[r.other]))
            for r in near.pairs
            if r.key in shown and r.other in shown
        )
        twins = tuple(Twins(group_words(r), pictures=(shown[r.key],)) for r in equal[1] if r.key in shown)
        self.say("counting sizes, formats and broken pictures")
        wanted = {"size": "sizes", "format": "formats and modes"}
        wanted |= {"after": "after preprocessing"} if self.plan.steps else {}
        size = F.concat(F.col("width"), F.lit(" x "), F.col("height"))  # null where a picture has none
        sides = {"width": ("width", "pixels"), "height": ("height", "pixels"), "bytes": ("file size", "bytes")}
        return Findings(
            rows=self.rows,
            looked=self._looked(),
            kind="pictures",
            spreads=tuple(spreads(seen, sides)),
            counts=most_frequent(seen.withColumn("size", size), wanted),
            broken=self._broken(classes),
            copies=(replace(equal[0], examples=twins), replace(near.copies, examples=alike)),
        )

    def _looked(self) -> int:
        return self.seen.count() if self.sampled else sum(self.rows.values())

    def _broken(self, classes: Counted | None) -> tuple[Broken, ...]:
        """Return why pictures cannot be read, by the reader of training, with one of each."""
        example = F.min(F.struct("bytes", "key", "label")).alias("one")
        counted = left_out(self.seen, classes).groupBy("error").agg(F.count(F.lit(1)).alias("n"), example)
        found = counted.orderBy(F.desc("n"), "error").limit(50).collect()
        return tuple(Broken(r.error, r.n, self._place(r.one)) for r in found)

    def _place(self, row: Any) -> str:
        """Return words by which the user finds a row."""
        parts = [f"{row.bytes:,} bytes"] if row.bytes is not None else []
        parts += [f"label {row.label}"] if row.label is not None else []
        if row.key is not None and self.kind != "struct":
            parts.append(f"xxhash64({self.plan.experiment.data.image}) = {row.key}")
        return ", ".join(parts)

    def sample_keys(self, many: int) -> list[int]:
        """Return the keys of some training pictures that can be read, drawn by their hash."""
        good = self.seen.where((F.col("split") == TRAIN) & F.col("error").isNull()).select("key").distinct()
        return [r.key for r in good.orderBy(F.xxhash64(F.lit("grid"), "key")).limit(many).collect()]

    def some(self, keys: Sequence[int], *others: Column) -> Any:
        """Bring the rows of these pictures to the driver as an Arrow table, one of each, in the order of `keys`."""
        wanted = self.used.where(self.key.isin(list(keys))).select(self.key.alias("key"), "label", "image", *others)
        table = wanted.dropDuplicates(["key"]).toArrow().combine_chunks()
        place = {key: n for n, key in enumerate(table.column("key").to_pylist())}
        return table.take([place[key] for key in keys if key in place]).combine_chunks()

    def pictures(self, keys: Sequence[int]) -> dict[int, np.ndarray]:
        """Bring pictures to the driver, small: uint8[H, W, C] by their keys."""
        if not keys:
            return {}
        table = self.some(list(dict.fromkeys(keys)))
        found = small_pictures(table.column("image"), self.plan.shape)
        both = zip(table.column("key").to_pylist(), found, strict=True)
        return {key: pixels for key, pixels in both if pixels is not None}


def small_pictures(images: pa.ChunkedArray, shape: Sequence[int] | None) -> list[np.ndarray | None]:
    """Return pictures as uint8[H, W, C] of at most `SIDE` pixels a side; None where there is none."""

    def small(position: int, image: Image.Image) -> np.ndarray:
        image.thumbnail((SIDE, SIDE))
        pixels = np.asarray(image)
        return pixels.reshape(*pixels.shape[:2], -1)

    whole = images.combine_chunks()
    return map_pictures(whole, small, shape) if len(whole) else []


def _grid(sample: Sample, found: Any) -> Grid | None:
    """Return a few training pictures as they are and as the network is given them."""
    keys = sample.sample_keys(SHOWN)
    if not keys:
        return None
    table = sample.some(keys)
    images = table.column("image")
    raw = tuple(picture for picture in small_pictures(images, sample.plan.shape) if picture is not None)
    labels = tuple("" if label is None else str(label) for label in table.column("label").to_pylist())
    if found is None:
        return Grid(raw, labels=labels)
    inputs = found.inputs
    size = {"height": inputs.height, "width": inputs.width, "channels": inputs.channels}
    read = image_reader(steps=sample.plan.steps, shape=sample.plan.shape, **size)
    return Grid(raw, read(images.combine_chunks()).pixels, labels)
