"""Annotated pictures -> DataFrames: a COCO JSON file, a Pascal VOC folder, a YOLO folder. Runs on the driver.

Each gives image binary, boxes array<array<double>> (x1, y1, x2, y2 in pixels of the upright picture), labels
array<string>, and key string: the picture's file, below its folder. Pictures, XML and text files are read by Spark's
executors; of a COCO file the driver reads the boxes, and Spark brings them to the pictures.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.boxes.annotations import PARSED, Coco, Row, parsed, read_coco, read_names, read_voc, read_yolo
from sparknn_magic.data.boxes.job import many
from sparknn_magic.data.look import HEADER
from sparknn_magic.data.sources import BOX_COLUMNS, Fail, located, no_path, picture_files, read_files, root_of
from sparknn_magic.data.worker import picture_header
from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import BOX_KINDS, Source

SUFFIX = {"voc": "[xX][mM][lL]", "yolo": "[tT][xX][tT]"}
RENAME = "Give the file another name, or name a copy on this machine, which is read without Spark."
NAMES = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "obj.names")  # of YOLO's classes
PARALLEL = ("images", "labels")  # of YOLO, with folders of the same names below
# Pictures and annotations lie in parallel folders of these names, or beside each other.
FOLDERS = r"(?i)/(images|jpegimages|labels|annotations|xmls)(?=/)"


def open_annotated(spark: SparkSession, source: Source, fail: Fail) -> DataFrame:
    """Return the pictures with boxes of a source of kind coco, voc or yolo.

    Raises: the error that `fail` makes, where there is no such file or folder, or a COCO file cannot be read.
    """
    if source.kind == "coco":
        listed = spark.createDataFrame(_coco(spark, source, fail).table())
        return _pictures(spark, source, fail).join(F.broadcast(listed), "key").select(*BOX_COLUMNS)
    found = F.broadcast(_annotations(spark, source, _names(spark, source, fail), fail))
    pictures = _pictures(spark, source, fail).withColumn("name", _name("key"))
    # A picture without a text file is background for YOLO; one without an XML file has not been looked at.
    rows = pictures.join(found, "name", "inner" if source.kind == "voc" else "left").where("problem IS NULL")
    return (rows if source.kind == "voc" else _in_pixels(rows)).select(*BOX_COLUMNS)


def annotated_pictures(
    spark: SparkSession | None = None,
    *,
    coco: str | Path | None = None,
    voc: str | Path | None = None,
    yolo: str | Path | None = None,
    images: str | Path | None = None,
) -> DataFrame:
    """Return the pictures of a COCO JSON file, or of a folder with VOC's or YOLO's files: what a cell's `data:` reads.

    Columns: image binary; boxes array<array<double>>, x1, y1, x2, y2 in pixels of the upright picture; labels
    array<string>; key, the picture's file. Evaluate a detector on them, cut crops out of them, or put them together.
    images: the folder of the pictures, where it is not that of the annotations. spark: the active session, or a new
    one. Raises: DataError where not one source is named, nothing is there, or a COCO file cannot be read.
    """
    from sparknn_magic.sessions import session

    given = {kind: str(path) for kind, path in (("coco", coco), ("voc", voc), ("yolo", yolo)) if path}
    if len(given) != 1:
        raise DataError(f"annotated_pictures reads one of coco, voc and yolo, not {' and '.join(given) or 'nothing'}.")

    def fail(message: str, hint: str | None = None) -> SparkNNError:
        return DataError(message, hint=hint)

    source = Source.model_validate(given | ({"images": str(images)} if images else {}))
    return open_annotated(spark or session(), source, fail)


def remarks(spark: SparkSession, experiment: Experiment, names: Iterable[str]) -> list[str]:
    """Return what there is to say of the annotation files of these sources under `data:`; a Spark job for each.

    Raises: DataError where no picture and no annotation belong together.
    """
    said: list[str] = []
    for name in names:
        source = getattr(experiment.data, name)
        if isinstance(source, Source) and source.kind in BOX_KINDS:
            fail = partial(_placed, experiment, name, source.kind)
            say = _remarks_coco if source.kind == "coco" else _remarks_files
            said += [f"data.{name}: {words}" for words in say(spark, source, fail)]
    return said


def _placed(experiment: Experiment, name: str, kind: str, message: str, hint: str | None = None) -> SparkNNError:
    return experiment.error(("data", name, kind), message, hint=hint)


def _folder(spark: SparkSession, text: str, fail: Fail) -> str:
    """Return a folder as Spark finds it."""
    where, local, here = located(spark, text)
    if not here:
        try:
            # Named twice: of a single path that is not there, Spark logs a Java stack trace before it says so.
            read_files(spark, "*").load([where, where]).schema  # noqa: B018 (a Connect session looks only now)
        except AnalysisException as error:
            if error.getCondition() != "PATH_NOT_FOUND":
                raise
            raise no_path(text, local, fail) from error
    return where


def _pictures(spark: SparkSession, source: Source, fail: Fail) -> DataFrame:
    """Return key, the file below the folder of the pictures, and image, its bytes."""
    beside = os.path.dirname(source.value) or "." if source.kind == "coco" else source.value
    where = _folder(spark, source.images or beside, fail)
    files = picture_files(spark, where)
    return files.select(_below(where).alias("key"), F.col("content").alias("image"))


def _below(where: str) -> Column:
    """Return a file's path below this folder."""
    root = root_of(where) + "/"
    return F.substr(F.col("path"), F.locate(root, "path") + F.lit(len(root)))


def _name(column: str) -> Column:
    """Return what a picture's path and that of its annotation have in common."""
    stem = F.regexp_replace(F.concat(F.lit("/"), F.col(column)), r"\.[^./]*$", "")
    return F.regexp_replace(stem, FOLDERS, "")


def _annotations(spark: SparkSession, source: Source, names: dict[int, str], fail: Fail) -> DataFrame:
    """Return name, boxes, labels, problem of each XML or text file; `names` are those of YOLO's classes."""
    where = _folder(spark, source.value, fail)
    read: Callable[[bytes], Row] = read_voc if source.kind == "voc" else partial(read_yolo, names=names)
    files = read_files(spark, f"*.{SUFFIX[source.kind]}").load(where)

    def parse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return parsed(batches, read)

    found = files.select(_below(where).alias("key"), "content").withColumn("key", _name("key"))
    return found.mapInArrow(parse, PARSED).withColumnRenamed("key", "name")


def _in_pixels(rows: DataFrame) -> DataFrame:
    """Return rows whose boxes are shares of the picture's sides with pixels in their place."""

    @F.arrow_udf(HEADER)  # type: ignore[call-overload]
    def header(images: pa.Array) -> pa.Array:
        return picture_header(images)

    def pixels(box: Column) -> Column:
        return F.array(*(box[i] * F.col("size")["height" if i % 2 else "width"] for i in range(4)))

    return rows.withColumn("size", header("image")).withColumn("boxes", F.transform("boxes", pixels))


def _names(spark: SparkSession, source: Source, fail: Fail) -> dict[int, str]:
    """Return the names of YOLO's classes, from the first file that has them; {} where there is none, and for VOC."""
    if source.kind != "yolo":
        return {}
    for place in named_places(source.value):
        for name in NAMES:
            file = os.path.join(place, name)
            content = _content(spark, file)
            if content is None:
                continue
            try:
                return read_names(content, yaml=name.endswith(("yaml", "yml")))
            except ValueError as error:
                raise fail(f"'{file}' does not tell what the classes are: {error}.") from error
    return {}


def named_places(folder: str) -> list[str]:
    """Return where the names of the classes of a YOLO folder may be: there, above, and above a folder `labels`.

    The last is that of `data.yaml` beside `images/train` and `labels/train`.
    """
    places = [folder.rstrip("/") or "/"]
    for last in (False, True):
        above = os.path.dirname(places[-1]) or "."
        if (
            above.endswith(":")
            or above == places[-1]
            or (last and os.path.basename(places[-1]).lower() not in PARALLEL)
        ):
            break  # of s3a://bucket there is nothing above
        places.append(above)
    return places


def _content(spark: SparkSession, text: str) -> bytes | None:
    """Return the bytes of one file; None where there is none."""
    where, local, here = located(spark, text)
    if here:
        return local.read_bytes() if local.is_file() else None
    try:
        found = read_files(spark, "*").load([where, where]).select("content").head()
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
        return None
    return None if found is None else bytes(found.content)


def _coco(spark: SparkSession, source: Source, fail: Fail) -> Coco:
    content = _content(spark, source.value)
    if content is None:
        local = located(spark, source.value)[1]
        if local.is_dir():
            raise fail(f"'{source.value}' is a folder; name the JSON file in it.")
        name = os.path.basename(source.value)
        if name.startswith(("_", ".")) and "://" in source.value and not source.value.lower().startswith("file:"):
            raise fail(f"Spark sees no file of that name: those that begin with '{name[0]}' are hidden.", hint=RENAME)
        raise no_path(source.value, local, fail)
    try:
        return read_coco(content)
    except ValueError as error:
        raise fail(f"'{source.value}' cannot be read: {error}.") from error


def _remarks_coco(spark: SparkSession, source: Source, fail: Fail) -> list[str]:
    coco = _coco(spark, source, fail)
    listed = spark.createDataFrame(coco.table().select(["key"]))
    missing = listed.join(_pictures(spark, source, fail).select("key"), "key", "left_anti")
    found = missing.agg(F.count(F.lit(1)).alias("n"), F.min("key").alias("example")).collect()[0]
    folder = source.images or os.path.dirname(source.value) or "."
    if found.n and found.n == len(coco.names):
        message = f"'{folder}' has none of the pictures of '{source.value}', such as '{found.example}'."
        raise fail(message, hint="`images: FOLDER` beside `coco` names the folder that their file names start from.")
    said = []
    if found.n:
        words = f"{found.n:,} of {len(coco.names):,} pictures not found, or empty, and left out"
        said.append(f"{words}, such as '{found.example}'.")
    if coco.crowd:
        words = many(coco.crowd, "annotation of a crowd (iscrowd) is", "annotations of crowds (iscrowd) are")
        said.append(f"{words} left out.")
    if coco.unlisted:
        words = many(coco.unlisted, "annotation of a picture", "annotations of pictures")
        said.append(f"{words} that the file does not list left out.")
    return said


def _remarks_files(spark: SparkSession, source: Source, fail: Fail) -> list[str]:
    pictures = _pictures(spark, source, fail).select("key").withColumn("name", _name("key"))
    names = _names(spark, source, fail)
    found = _annotations(spark, source, names, fail).select("name", "problem")
    joined = pictures.join(found.withColumn("annotated", F.lit(1)), "name", "left")
    example = F.when(F.col("problem").isNotNull(), F.concat("key", F.lit("': "), "problem"))
    counts = joined.agg(
        F.count(F.lit(1)).alias("pictures"),
        F.count("annotated").alias("annotated"),
        F.count("problem").alias("problems"),
        F.min(example).alias("example"),
        F.count_distinct("key").alias("different"),
    ).collect()[0]
    files = "an XML file" if source.kind == "voc" else "a text file"
    if counts.pictures > counts.different:
        twice = joined.groupBy("key").agg(F.count(F.lit(1)).alias("n")).where("n > 1")
        message = f"'{twice.agg(F.min('key')).collect()[0][0]}' has {files} of its name in several folders"
        hint = "Name the folder that has the right ones, and that of the pictures as `images: FOLDER`."
        raise fail(f"{message} of '{source.value}'.", hint=hint)
    if not counts.annotated:
        folder = source.images or source.value
        message = f"none of the pictures in '{folder}' has {files} of its name in '{source.value}'."
        raise fail(message, hint="Both lie in one folder, or in parallel ones: images and labels or annotations.")
    said = []
    if counts.pictures > counts.annotated and source.kind == "voc":
        words = many(counts.pictures - counts.annotated, f"picture without {files} is", f"pictures without {files} are")
        said.append(f"{words} left out.")
    if counts.problems:
        words = many(counts.problems, "annotation file", "annotation files")
        said.append(f"{words} cannot be read, left out with the pictures, such as that of '{counts.example}.")
    if source.kind == "yolo" and not names:
        said.append("there is no data.yaml, classes.txt or obj.names, there or above: labels are numbers.")
    return said
