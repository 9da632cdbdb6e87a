"""What a preview tells of rows before training: counted by Spark, shown as text and HTML."""

import io
import json
import re
import textwrap

import numpy as np
import pyarrow as pa
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from PIL.Image import Resampling
from pyspark.sql.functions import lit

import sparknn_magic
from sparknn_magic.data.preview.findings import Broken, ColumnLook, Copies, Counted, Findings, Grid, Spread, Twins
from sparknn_magic.data.preview.near import find_near
from sparknn_magic.data.preview.rows import inspected
from sparknn_magic.data.preview.worker import difference_hashes, folded, look_at_texts, scripts_of
from sparknn_magic.errors import DataError, SpecError
from sparknn_magic.previewing import Preview, read_rows
from sparknn_magic.show.preview_progress import LookState
from tests.data.scenes import SCHEMA, picture
from tests.data.tables import frame

HOSTILE = "<img src=x onerror=alert(1)>"


def png(pixels, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def scene(seed, height=40, width=50):
    """A smooth picture of its own."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Resampling.BICUBIC))


def spread(name="length", unit="characters"):
    return Spread(
        name, unit, {0.0: 1, 0.05: 2, 0.25: 3, 0.5: 4, 0.75: 5, 0.95: 6, 1.0: 7}, bars=(("1", 3), ("2 to 3", 9))
    )


# Pure parts


def test_a_picture_that_grows_brighter_to_the_right_has_all_64_bits_and_a_plain_one_has_no_hash():
    ramp = np.tile(np.arange(9, dtype=np.uint8) * 20, (8, 1))
    assert difference_hashes(Image.fromarray(ramp)) == (-1, 0)  # 64 ones, as a signed number
    assert difference_hashes(Image.fromarray(ramp.T.copy())) == (0, -1)
    assert difference_hashes(Image.fromarray(ramp[:, ::-1].copy())) is None
    assert difference_hashes(Image.fromarray(np.full((30, 30), 77, np.uint8))) is None


def test_a_picture_keeps_its_hashes_when_it_is_stored_again_and_scaled():
    picture = Image.fromarray(scene(3, 400, 500))
    again = Image.open(io.BytesIO(png(scene(3, 400, 500), "JPEG", quality=60)))
    for n in range(2):
        own, *alike = (difference_hashes(each)[n] for each in (picture, again, picture.resize((250, 200))))
        assert all(((own ^ each) & (2**64 - 1)).bit_count() <= 3 for each in alike)
        assert ((own ^ difference_hashes(Image.fromarray(scene(4)))[n]) & (2**64 - 1)).bit_count() > 3


def test_texts_that_differ_in_case_width_spaces_and_punctuation_are_alike():
    assert (
        folded("Hello,  World!") == folded("hello world") == folded("\uff28\uff25\uff2c\uff2c\uff2f world\u2026")
    )  # wide letters
    assert folded("hello word") != folded("hello world")
    assert folded("!!!") != folded("???")


def test_the_scripts_of_a_text_are_those_of_its_letters():
    assert scripts_of("naïve 123") == ["Latin"]
    assert scripts_of("東京 Tokyo とうきょう") == ["Latin", "Hiragana", "Han"]
    assert scripts_of("Привет, мир") == ["Cyrillic"]
    assert scripts_of("42 !") == []


def test_texts_that_cannot_be_read_have_the_reason_of_training():
    texts = pa.array(["good", None, "  ", b"\xff\xfe".decode("latin-1")])
    batch = pa.RecordBatch.from_pydict(
        {
            "split": pa.array([0] * 4, pa.int32()),
            "label": pa.array(["a"] * 4),
            "key": pa.array(range(4), pa.int64()),
            "text": texts,
            "pair": pa.array([None] * 4, pa.string()),
        }
    )
    (found,) = look_at_texts(iter([batch]), ())
    assert found.column("error").to_pylist() == [None, "null text", "empty text", None]
    assert found.column("characters").to_pylist() == [4, 0, 2, 2]


@pytest.mark.parametrize("written", ["0", "-3", "ten", "1e3"])
def test_rows_that_are_no_number_are_refused(written):
    with pytest.raises(SpecError, match="--rows must be a whole number from 1 on"):
        read_rows(written)


def test_a_report_tells_imbalance_leaks_broken_rows_and_why_training_would_stop():
    found = Findings(
        rows={"train": 900, "validation": 100},
        looked=500,
        kind="texts",
        classes=Counted("classes", (("cat", {"train": 800, "validation": 90}), ("dog", {"train": 100})), 2),
        spreads=(spread(),),
        counts=(Counted("scripts", (("Latin", {"rows": 480}),), 1),),
        broken=(Broken("null text", 3, "label cat"),),
        copies=(Copies("equal", 4, 6, {"validation": 2}, 1, (Twins("2 times", texts=("hi",)),)),),
        stops=("line 3, column 5: the texts are empty.",),
        notes=("Something else.",),
        grid=Grid(("Hi THERE",), ("hi there",)),
    )
    text = repr(Preview("text-classification", "SELECT *", found))
    assert "900 train, 100 validation; a sample of 500 of them was looked at" in text
    assert "the largest has 88.9%, 8 times the smallest" in text
    assert "10 texts are copies of each other (equal): 6 too many; 2 of the validation rows stand among" in text
    assert "1 of them has different labels" in text
    assert "Left out by training: 3 rows" in text
    assert "training would stop: line 3, column 5: the texts are empty." in text
    assert "after preprocessing  hi there" in text


def test_columns_that_tell_nothing_are_named():
    columns = (
        ColumnLook("id", "number", "int", 10, 0, 1, quantiles={0.0: 1, 0.5: 1, 1.0: 1}, mean=1.0),
        ColumnLook("gone", "category", "string", 10, 10, 0),
        ColumnLook("city", "category", "string", 10, 2, 3, top=(("Oslo", 5),)),
    )
    text = repr(Preview("vector-classification", "t", Findings({"train": 10}, 10, "rows", columns=columns)))
    assert "constant: it tells nothing" in text
    assert "all null: leave it out" in text
    assert "Oslo 50%" in text


def test_what_rows_say_is_text_in_html_and_the_page_loads_nothing(tmp_path):
    picture = scene(1)
    found = Findings(
        rows={"train": 2},
        looked=2,
        kind="pictures",
        classes=Counted("classes", ((HOSTILE, {"train": 1}), (None, {"train": 1})), 2),
        broken=(Broken(HOSTILE, 1, HOSTILE),),
        copies=(Copies("equal bytes", 1, 1, {}, 0, (Twins(HOSTILE, pictures=(picture,)),)),),
        stops=(HOSTILE,),
        notes=(HOSTILE,),
        grid=Grid((picture,), picture[None], (HOSTILE,)),
    )
    shown = Preview("image-classification", HOSTILE, found)
    html = shown.save(tmp_path / "preview.html").read_text()
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") >= 7
    assert html.count('src="data:image/png') == 3
    assert "http" not in html.replace("http://www.w3.org", "")


def test_what_training_would_stop_at_is_part_of_the_report():
    def inspect(plan):
        raise DataError("'alcohol' is null in 20 of 160 training rows.", hint="Add `- fill_nulls: mean`.", line=2)

    found, stops = inspected(inspect, None)
    assert found is None
    assert stops == ("line 2: 'alcohol' is null in 20 of 160 training rows. Add `- fill_nulls: mean`.",)


HEARD = [{"event": "look", "doing": words} for words in ("opening the rows", "counting rows and classes")]


def looked(*events):
    seconds = iter(range(0, 100, 3))
    state = LookState(HOSTILE, clock=lambda: float(next(seconds)))
    for event in events:
        state.hear(event)
    return state


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)).split())


def test_while_it_is_computed_each_step_stands_there_with_its_seconds():
    title = "looking at &lt;img src=x onerror=alert(1)&gt;"
    assert words(looked().html()) == title
    assert words(looked(*HEARD).html()) == f"{title} ✓ opening the rows 3.0 s … counting rows and classes 3.0 s"
    assert looked(*HEARD).text() == f"looking at {HOSTILE}\n  opening the rows: 3.0 s"


def test_a_step_that_fails_or_is_interrupted_says_so():
    failed = looked(*HEARD, {"event": "look", "state": "failed"})
    assert words(failed.html()).endswith("✗ counting rows and classes 3.0 s, failed")
    stopped = looked(*HEARD)
    stopped.interrupt()
    assert stopped.text().endswith("\n  counting rows and classes: 3.0 s, interrupted")


# By Spark


def test_like_hashes_are_found_without_comparing_all_with_all(spark):
    rng = np.random.default_rng(11)
    hashes = [int(h) for h in rng.integers(-(2**63), 2**63, 400, np.int64)]
    for i in range(30):  # up to 4 bits apart: one more than counts
        changed = int(np.uint64(hashes[i] & (2**64 - 1)))
        for bit in rng.choice(64, 1 + i % 4, replace=False):
            changed ^= 1 << int(bit)
        hashes.append(int(np.uint64(changed).astype(np.int64)))
    hashes += hashes[100:105]
    rows = [(0 if i < 400 else 1, i, h, 7) for i, h in enumerate(hashes)]
    rows += [(0, 1000 + i, h, 2**40 - 1) for i, h in enumerate(hashes[:20])]  # alike across alone
    found = find_near(spark.createDataFrame(rows, "split int, key long, hash long, down long"), 3)
    bits = np.array(hashes, np.int64).view(np.uint64)
    apart = np.vectorize(lambda h: bin(int(h)).count("1"))(bits[:, None] ^ bits[None, :])
    alike = ((apart <= 3).sum(1) > 1).sum()
    taught = (apart[400:, :400] <= 3).any(1).sum()
    assert found.copies.extra + found.copies.groups == alike
    assert found.copies.leaked == {"validation": taught}
    assert [pair.bits for pair in found.pairs] == sorted(pair.bits for pair in found.pairs)
    assert len(found.pairs) == 3


@pytest.fixture
def pictures(spark):
    """36 pictures of two sizes and two classes, with copies, a leak, and three that are none."""
    rows = [(png(scene(i, 40 + 8 * (i % 2))), "cat" if i % 3 else "dog", "t" if i % 6 else "v") for i in range(36)]
    rows += [(rows[1][0], "cat", "v"), (rows[2][0], "dog", "t")]  # one leaks, one has another label
    rows += [(png(scene(4, 40), "JPEG", quality=95), "cat", "v")]  # as it looks, a training picture
    rows += [
        (rows[1][0][:200], "cat", "t"),
        (b"no picture", "cat", "t"),
        (None, "cat", "t"),
        (png(scene(50)), None, "t"),
    ]
    return spark.createDataFrame(rows, "image binary, label string, side string")


def test_pictures_are_looked_at_by_the_reader_of_training(spark, pictures):
    cell = textwrap.dedent("""
        task: image-classification
        data:
          train: pictures
          validation: {column: side, is: v}
        preprocess:
        - resize: 32
        augment:
        - random_horizontal_flip: 1.0
    """)
    heard = []
    shown = sparknn_magic.preview(cell, spark=spark, variables={"pictures": pictures}, on_event=heard.append)
    assert [event["doing"] for event in heard] == [
        "opening the rows",
        "counting rows and classes",
        "checking what training would check",
        "decoding 43 pictures, and looking for copies",
        "looking for like pictures",
        "counting sizes, formats and broken pictures",
        "bringing a few pictures",
        "augmenting",
    ]
    found = shown.findings
    assert found.rows == {"train": 35, "validation": 8}
    assert dict(found.classes.values)["dog"] == {"train": 7, "validation": 6}
    assert {each.reason: each.rows for each in found.broken} == {
        "truncated PNG image": 1,
        "not an image (JPEG, PNG, WebP, BMP or GIF)": 1,
        "null": 1,
        "null label": 1,
    }
    equal, near = found.copies
    assert (equal.groups, equal.extra, equal.leaked, equal.conflicting) == (2, 2, {"validation": 1}, 1)
    assert near.leaked == {"validation": 2}
    counts = {each.name: dict(each.values) for each in found.counts}
    assert counts["sizes"]["50 x 40"]["rows"] + counts["sizes"]["50 x 48"]["rows"] == 41
    assert counts["formats and modes"] == {"PNG RGB": {"rows": 40}, "JPEG RGB": {"rows": 1}}
    assert counts["after preprocessing"] == {"32 x 32, colour": {"rows": 40}}
    assert found.grid.prepared.shape == (8, 32, 32, 3)
    assert np.array_equal(found.grid.augmented[0], found.grid.prepared[:, :, ::-1])
    assert found.stops == ()
    html = shown._repr_html_()
    assert "After augmentation, round 2" in html
    assert "stand among the training rows too" in html


@pytest.fixture
def shell(spark):
    shell = InteractiveShell.instance(display_pub_class=CapturingDisplayPublisher)
    shell.run_line_magic("load_ext", "sparknn_magic")
    yield shell
    InteractiveShell.clear_instance()


def test_a_cell_previews_texts_tells_its_steps_and_needs_no_model(spark, shell, capsys):
    rows = [(f"message number {i} of many", "ask" if i % 4 else "tell", "t" if i % 5 else "v") for i in range(40)]
    rows += [("Message   number 7 of MANY!", "ask", "v"), ("message number 8 of many", "ask", "t")]
    rows += [("", "ask", "t"), (None, "ask", "t"), ("Здравствуйте", "greet", "v")]
    shell.user_ns["mails"] = spark.createDataFrame(rows, "text string, label string, side string")
    cell = "task: text-classification\ndata: {train: mails, validation: {column: side, is: v}}\npreprocess: [lowercase]"
    done = shell.run_cell(f"%%sparknn preview\n{cell}")
    assert done.success
    (output,) = [each["data"] for each in shell.display_pub.outputs if "text/html" in each["data"]]
    text = output["text/plain"]
    assert "35 train, 10 validation" in text
    assert "copies: 2 texts are copies of each other (equal): 1 too many; 1 of them has different labels." in text
    assert "1 of the validation rows stand among the training rows too" in text  # but for case, spaces and marks
    for reason in ("null text", "empty text", "label not among the training classes"):
        assert reason in text
    assert "Cyrillic" in text
    assert "tokens in the median" in text
    assert capsys.readouterr().err.splitlines()[-1] == "  looking for copies and like texts"
    typo = shell.run_cell("%%sparknn preview\ntask: text-clasification\ndata: {train: mails}")
    assert "Did you mean 'text-classification'?" in str(typo.error_in_exec)


def test_columns_are_looked_at_and_rows_are_shown_as_the_network_is_given_them(spark):
    table = frame(spark).withColumn("one", lit(1.0))
    cell = "task: vector-classification\ndata: {train: wines, label: grape, categories: [cellar]}\n"
    shown = sparknn_magic.preview(f"{cell}preprocess: [fill_nulls: median]", spark=spark, variables={"wines": table})
    found = shown.findings
    columns = {each.name: each for each in found.columns}
    training = columns["id"].rows
    assert training == found.rows["train"]
    assert columns["one"].constant
    assert not columns["malic"].constant
    assert columns["cellar"].distinct == 3
    assert sum(n for _, n in columns["colour"].top) == training - columns["colour"].nulls
    assert columns["phenols"].lengths == (2, 2)
    assert columns["alcohol"].quantiles[0.0] > 11
    assert columns["alcohol"].nulls > 0
    assert found.stops == ()
    assert len(found.grid.prepared) == 5
    assert "constant: it tells nothing" in repr(shown)


def test_boxes_are_counted_and_drawn_before_and_after_augmentation(spark):
    rows = [(i, picture(60, 40, 3 * i), [[4.0, 4.0, 30.0, 20.0]] * (i % 3), ["cup"] * (i % 3), "") for i in range(20)]
    rows.append((20, picture(60, 40, 99), [[50.0, 30.0, 90.0, 50.0], [9.0, 9.0, 2.0, 2.0]], ["cup", "box"], ""))
    rows.append((21, picture(60, 40, 98), [[5.0, 5.0, 5.0, 9.0]], ["cup"], ""))
    scenes = spark.createDataFrame(rows, SCHEMA)
    cell = textwrap.dedent("""
        task: object-detection
        data: {train: scenes, validation: null}
        preprocess:
        - letterbox: 32
        augment:
        - random_horizontal_flip: 1.0
    """)
    shown = sparknn_magic.preview(cell, spark=spark, variables={"scenes": scenes})
    found = shown.findings
    assert found.rows == {"train": 22}
    assert dict(found.classes.values) == {"cup": {"train": 20}}
    assert {each.reason: each.rows for each in found.broken} == {
        "box inverted": 1,
        "box without area": 1,
        "box cut at the picture's edges": 1,
    }
    left = {each.reason: each.example for each in found.broken[-3:-1]}  # one example of all, beside its own reason
    assert sum(map(bool, left.values())) == 1
    assert all(not example or reason == f"box {example.rpartition(': ')[2]}" for reason, example in left.items())
    before, after = found.grid.boxes, found.grid.augmented_boxes[0]
    assert sum(map(len, before)) == sum(map(len, after)) > 0
    for old, new in zip(before, after, strict=True):
        assert np.allclose(sorted(32 - old[:, 3]), sorted(new[:, 1]))
    assert "After augmentation, round 1" in shown._repr_html_()


def test_what_annotation_files_lack_is_said(spark, tmp_path):
    listed = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]
    box = {"image_id": 1, "category_id": 7, "bbox": [1, 2, 20, 10]}
    crowd = {"image_id": 1, "category_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    known = {"images": listed, "categories": [{"id": 7, "name": "cup"}], "annotations": [box, crowd]}
    (tmp_path / "coco.json").write_text(json.dumps(known))
    (tmp_path / "a.png").write_bytes(picture(60, 40, 3))
    cell = (
        f"task: object-detection\ndata: {{train: {{coco: {tmp_path}/coco.json}}, validation: null}}\n"
        "preprocess: [letterbox: 32]\n"
    )
    shown = sparknn_magic.preview(cell, spark=spark)
    assert shown.findings.rows == {"train": 1}
    for words in (
        "data.train: 1 of 2 pictures not found, or empty, and left out, such as 'gone.png'.",
        "data.train: 1 annotation of a crowd (iscrowd) is left out.",
    ):
        assert words in shown.findings.notes
        assert words in repr(shown)
        assert words.replace("'", "&#x27;") in shown._repr_html_()
