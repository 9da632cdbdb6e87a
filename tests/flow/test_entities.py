"""Named entities from rows to SQL: spans of texts, tags of words, a model folder, a report, Connect too."""
# ruff: noqa: RUF001 (full-width letters)

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

import sparknn_magic
from sparknn_magic.errors import SparkNNError
from sparknn_magic.run import check, dry_run
from sparknn_magic.show.text import metrics_table, plan_text

CELL = """\
task: token-classification
data:
  train: orders
  text: message
  label: entities
  validation: 15%
  test: 15%
preprocess:
- nfkc
- lowercase
model:
  bilstm: {dim: 24, units: 24, dropout: 0.1}
train:
  epochs: 8
  batch_size: 16
  optimizer: {adamw: {lr: 1e-2}}
  workers: 1
"""
SPANS = "array<struct<start:int,end:int,label:string>>"
CITIES = ["Berlin", "New York", "São Paulo", "北京", "上海"]
THINGS = ["phone", "coffee grinder", "e-reader", "耳机"]
FRAMES = [
    "where is my {thing} ? it goes to {city}",
    "I want a {thing} in {city} , please",
    "from {city} to {city} : one {thing}",
    "我的 {thing} 在 {city} 吗 ?",
    "hello , is anybody there ?",
]


def marked(draw) -> tuple[list[str], list[str]]:
    """Return words and their tags."""
    words, tags = [], []
    for word in str(draw.choice(FRAMES)).split(" "):
        label = word.strip("{}") if word.startswith("{") else None
        parts = str(draw.choice({"city": CITIES, "thing": THINGS}[label])).split(" ") if label else [word]
        words += parts
        tags += [f"{'I' if n else 'B'}-{label}" if label else "O" for n in range(len(parts))]
    return words, tags


def spanned(words: list[str], tags: list[str]) -> tuple[str, list[tuple]]:
    """Return the same as a text with spans of characters."""
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    spans = [(int(starts[a]), int(starts[b]) + len(words[b]), label) for label, a, b in get_entities(tags)]
    return " ".join(words), spans


def rows(count: int, seed: int = 0) -> list[tuple]:
    draw = np.random.default_rng(seed)
    found = [spanned(*marked(draw)) for _ in range(count)]
    found = [(text.upper() if n % 3 == 0 else text, spans) for n, (text, spans) in enumerate(found)]
    bad = [(None, []), ("Berlin", None), ("Berlin", [(0, 9, "city")]), ("Berlin", [(0, 4, "city"), (3, 6, "thing")])]
    return [(n, *row) for n, row in enumerate([*found, *bad])]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("entities")


@pytest.fixture(scope="module")
def orders(spark):
    found = spark.createDataFrame(rows(300), f"id int, message string, entities {SPANS}").persist()
    found.createOrReplaceTempView("orders")
    yield found
    found.unpersist()


def train(spark, home, cell, name, **options):
    options.setdefault("on_event", lambda event: None)
    cell += f"export: {home / name}\n"
    return sparknn_magic.train(cell, name=name, spark=spark, runs=home / "runs", **options)


@pytest.fixture(scope="module")
def places(spark, home, orders):
    return train(spark, home, CELL, "places")


def test_entities_are_learnt_and_both_engines_agree(places):
    assert places.metrics["f1"] > 0.9
    assert [each["label"] for each in places.metrics["per_class"]] == ["city", "thing"]
    assert places.meta["classes"] == ["O", "B-city", "I-city", "B-thing", "I-thing"]
    assert places.meta["parity"]["changed_decisions"] == 0
    assert places.meta["parity"]["max_difference"] < 1e-4
    assert places.meta["parity"]["tokens"] > places.meta["parity"]["rows"] > 20
    assert places.history[-1]["validation_token_accuracy"] > 0.95
    dropped = {d["reason"]: d["rows"] for d in places.meta["rows"]["dropped"]}
    assert sum(dropped.values()) + places.metrics["errors"] + places.metrics["unknown_labels"] == 4
    assert set(dropped) <= {"null text", "null label", "a span outside the text", "overlapping spans"}


def test_sql_gives_places_in_the_text_as_it_was_written(spark, places):
    text = "  where is my ＰＨＯＮＥ ? it goes to NEW YORK"
    spark.createDataFrame([(text,), ("",), (None,)], "message string").createOrReplaceTempView("asked")
    first, empty, null = spark.sql("SELECT places(message) AS p, places(message, 1.0) AS q FROM asked").collect()
    assert [(e.label, e.text) for e in first.p.entities] == [("thing", "ＰＨＯＮＥ"), ("city", "NEW YORK")]
    assert all(text[e.start : e.end] == e.text and 0.5 < e.score <= 1 for e in first.p.entities)
    assert first.q.entities == [e for e in first.p.entities if e.score == 1]
    assert [row.p.error for row in (empty, null)] == ["empty text", "null text"]
    query = "SELECT e.text, substring(message, e.start + 1, e.end - e.start) AS cut FROM asked LATERAL VIEW "
    found = spark.sql(query + "explode(places(message).entities) t AS e").collect()
    assert [row.cut for row in found] == [row.text for row in found] == ["ＰＨＯＮＥ", "NEW YORK"]


def test_figures_are_those_of_the_predictions_and_are_shown(places, orders):
    found = places.predict(orders.where("id < 300")).collect()
    true = {(row.id, *span) for row in found for span in row.entities}
    guess = {(row.id, e.start, e.end, e.label) for row in found for e in row.prediction.entities}
    ours = places.evaluate(orders.where("id < 300"))
    with pytest.raises(SparkNNError, match="a row as a whole has no features"):
        places.search(orders, orders)
    assert ours["f1"] == pytest.approx(2 * len(true & guess) / (len(true) + len(guess)))
    assert (ours["entities"], ours["predicted_entities"]) == (len(true), len(guess))
    assert re.search(r"F1 +0\.9\d+|F1 +1\.0000", metrics_table(ours))
    assert re.search(r"class +precision +recall +F1 +entities", metrics_table(ours))
    assert "rows all right" in repr(places)
    assert '<th class="num">entities</th>' in places._repr_html_()
    report = places.report.read_text(encoding="utf-8")
    assert "Loss and token accuracy by epoch" in report
    assert "of whole entities" in report


def test_the_report_marks_the_entities_of_the_worst_texts_and_escapes_them(places, spark):
    text = "<script>alert(1)</script> my phone & Berlin"
    label = [(0, 8, "city"), (29, 34, "thing")]
    frame = spark.createDataFrame([(1, text, label)], f"id int, message string, entities {SPANS}")
    path = places.folder / "other.html"
    places.task.report(path, places.predict(frame), places.meta)
    found = path.read_text(encoding="utf-8")
    path.unlink()
    assert "The texts with most mistakes" in found
    assert '<mark class="miss">&lt;script&gt;<small>city</small></mark>alert' in found
    assert "<script" not in found


def test_a_look_marks_what_was_found(places):
    found = sparknn_magic.look(places, "SELECT 7 AS id, 'my phone to Berlin' AS message UNION ALL SELECT 8, null")
    assert re.search(r"id 7: my phone to Berlin\n +phone \(thing \d+%\), Berlin \(city \d+%\)", found.text)
    assert re.search(r"id 8:\n +✗ null text", found.text)
    assert "<mark>phone<small>thing " in found.html


def test_the_cards_own_lines_find_entities_without_this_package(places):
    card = (places.folder / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(import json.*?)```", card, re.S)[1]
    script = code.replace('"your text"', repr("One PHONE to New York"))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=places.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    row = places.predict(places.spark.createDataFrame([("One PHONE to New York",)], "message string")).first()
    assert [said for said, _ in lines] == [f"{e.label} {e.text!r}" for e in row.prediction.entities]
    assert [float(score) for _, score in lines] == pytest.approx([e.score for e in row.prediction.entities], abs=1e-5)
    assert "`float32[N, T, 5]`" in card
    assert "its F1" in card or "with an F1 of" in card


def test_words_with_tags_are_learnt_and_found_as_words(spark, home):
    draw = np.random.default_rng(5)
    table = [(n, *marked(draw)) for n in range(300)] + [(300, ["a"], ["O", "O"]), (301, ["a"], ["b"])]
    frame = spark.createDataFrame(table, "id int, words array<string>, tags array<string>")
    frame.createOrReplaceTempView("conll")
    cell = CELL.replace("orders", "conll").replace("text: message", "text: words").replace("entities", "tags")
    model = train(spark, home, cell.replace("model:\n  bilstm:", "loss: focal\nmodel:\n  bilstm:"), "conll_of")
    found = [row for row in model.predict(frame).collect() if row.id < 300]
    guess = []
    for row in found:
        tags = ["O"] * len(row.words)
        for e in row.prediction.entities:
            assert e.text == " ".join(row.words[e.start : e.end])
            tags[e.start : e.end] = [f"B-{e.label}", *[f"I-{e.label}"] * (e.end - e.start - 1)]
        guess.append(tags)
    expected = f1_score([row.tags for row in found], guess)
    assert expected > 0.9
    assert model.evaluate(frame.where("id < 300"))["f1"] == pytest.approx(expected)
    assert json.loads((model.folder / "bundle.json").read_text())["words"] is True
    # The same model reads texts too: places are characters then.
    text = "hello , a phone in Berlin"
    (row,) = spark.sql(f"SELECT conll_of('{text}') AS p").collect()
    assert all(text[e.start : e.end] == e.text for e in row.p.entities)


def test_a_dry_run_tells_the_labels(spark, orders):
    text = plan_text(dry_run(CELL, name="places", spark=spark))
    assert re.search(r"entities +city, thing; given as spans of characters", text)
    assert re.search(r"texts +\d+ tokens in the median", text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("label: entities", "label: id"), "the label column 'id' is int, and column 'message' holds texts; spans are"),
        (("text: message", "text: id"), "column 'id' is int; a text is a string, or an array<string> of words."),
        (("text: message", "text: [message, message2]"), "reads one column of texts, not a pair"),
        (("label: entities", "label: entites"), "has no column 'entites' for the label. Did you mean 'entities'?"),
        (("model:\n  bilstm: {dim: 24, units: 24, dropout: 0.1}", "model: textcnn"), "'textcnn' is for text-class"),
        (("train:\n", "metrics: {n: count(*)}\ntrain:\n"), "metrics are SQL over one label a row"),
        (("train:\n", "loss: {sql: 'pow(prediction - label, 2)'}\ntrain:\n"), "a loss in SQL"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said_with_its_place(spark, orders, change, words):
    cell = CELL.replace(*change)
    assert cell != CELL
    with pytest.raises(SparkNNError) as caught:
        check(cell, name="places", spark=spark)
    assert words in str(caught.value)
    assert caught.value.line is not None
    assert len(str(caught.value).splitlines()) <= 2


def test_a_preprocessor_that_is_a_plain_function_would_lose_the_places(spark, orders, package):
    text = """
        from sparknn_magic.plugin import preprocessor

        @preprocessor("shout", task="token-classification")
        def shout():
            return str.upper
    """
    package("strange_shout", "[sparknn.preprocessors]\nshout = strange_shout:shout\n", text)
    with pytest.raises(SparkNNError, match="the preprocessor 'shout' is a function of a text") as caught:
        check(CELL.replace("- nfkc", "- shout"), name="places", spark=spark)
    assert (caught.value.line, len(str(caught.value).splitlines())) == (9, 2)


def test_layers_that_pool_and_rows_without_an_entity_are_refused(spark, orders):
    pooled = "model:\n- embedding: {dim: 8}\n- global_max_pool1d\n- dense\n"
    cell = re.sub(r"model:\n.*\n", pooled, CELL)
    with pytest.raises(
        SparkNNError, match=r"the last layer, dense, gives \[5\], but each of \d+ tokens needs 5 numbers"
    ):
        dry_run(cell, name="places", spark=spark)
    none = cell.replace("train: orders", "train: SELECT message, slice(entities, 1, 0) AS entities FROM orders")
    with pytest.raises(SparkNNError, match="the training rows have no entity in 'entities'"):
        dry_run(none, name="places", spark=spark)


def test_a_connect_client_trains_and_finds_entities(run_script):
    done = run_script(
        """
        import sparknn_magic
        from tests.flow.test_entities import CELL, SPANS, rows
        spark.createDataFrame(rows(200), f"id int, message string, entities {SPANS}").createOrReplaceTempView("orders")
        model = sparknn_magic.train(CELL, name="places", spark=spark, on_event=lambda event: None)
        print("f1", model.metrics["f1"] > 0.8)
        print("sql", spark.sql("SELECT places('a phone in Berlin').entities.text AS t").first().t)
        print("error", spark.sql("SELECT places('').error AS e").first().e)
        """,
        connect=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert "f1 True" in done.stdout
    assert "sql ['phone', 'Berlin']" in done.stdout
    assert "error empty text" in done.stdout
