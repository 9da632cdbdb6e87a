"""Texts in, a model folder and an SQL function out: one label and several, a pair of columns, Connect too."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

import sparknn_magic
from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SparkNNError
from sparknn_magic.show.text import plan_text

CELL = """\
task: text-classification
data:
  train: messages
  text: message
  label: intent
  validation: 15%
  test: 15%
preprocess:
- sql: SELECT *, replace(message, '#', ' ') AS message FROM {data} WHERE intent <> 'spam'
- nfkc
- lowercase
model:
- embedding: {dim: 16}
- conv1d: {filters: 16, kernel: 3, padding: 1}
- relu
- global_max_pool1d
- dense
train:
  epochs: 14
  batch_size: 16
  optimizer: {adamw: {lr: 1e-2}}
  workers: 2
"""
NOUNS = {
    "delivery": ["parcel", "box", "包裹"],
    "refund": ["money", "refund", "退款"],
    "login": ["password", "login", "密码"],
}
OPENINGS = ["hello", "please", "good morning", "hi there", "请问", "my friend says"]
ENDINGS = ["is missing", "where is it", "help me", "thank you", "谢谢", "!!!"]


def rows(count: int) -> list[tuple]:
    draw = np.random.default_rng(1)
    found = []
    for n in range(count):
        intent = list(NOUNS)[n % 3]
        noun = draw.choice(NOUNS[intent])
        text = f"{draw.choice(OPENINGS)} {noun} {draw.choice(ENDINGS)} {draw.integers(1000, 9999)}"
        found.append((n, text.title() if n % 2 else text, intent))
    return [*found, (count, None, "login"), (count + 1, "", "refund"), (count + 2, "buy now", "spam")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


@pytest.fixture(scope="module")
def messages(spark):
    found = spark.createDataFrame(rows(360), "id int, message string, intent string").persist()
    found.createOrReplaceTempView("messages")
    yield found
    found.unpersist()


def train(spark, home, cell, name, **options):
    options.setdefault("on_event", lambda event: None)
    cell += f"export: {home / name}\n"
    return sparknn_magic.train(cell, name=name, spark=spark, runs=home / "runs", **options)


@pytest.fixture(scope="module")
def intents(spark, home, messages):
    return train(spark, home, CELL, "intents")


def test_intents_are_learnt_and_both_engines_agree(intents):
    assert intents.metrics["accuracy"] > 0.95
    assert intents.meta["parity"]["changed_decisions"] == 0
    assert intents.meta["parity"]["max_difference"] < 1e-4
    assert {d["reason"]: d["rows"] for d in intents.meta["rows"]["dropped"]} == {"empty text": 1, "null text": 1}
    assert sorted(intents.meta["files"]) == ["README.md", "model.onnx", "model.safetensors", "tokenizer.json"]


def test_sql_gives_what_the_metrics_were_computed_from(spark, intents, messages):
    found = spark.sql("SELECT intent, intents(message) AS p FROM messages WHERE intent <> 'spam'").collect()
    scored = [row for row in found if row.p.error is None]
    assert len(scored) == 360
    assert sorted(row.p.error for row in found if row.p.error) == ["empty text", "null text"]
    assert accuracy_score([r.intent for r in scored], [r.p.label for r in scored]) > 0.95
    sure = spark.sql(
        "SELECT intents(message, 0.9) AS p, intents(message).score AS score FROM messages LIMIT 50"
    ).collect()
    assert all((row.p is None) == (row.score < 0.9) for row in sure if row.score is not None)


def test_the_word_that_an_intent_hangs_on_is_named(intents):
    rows = "SELECT 'hello parcel is missing' AS message, 'refund' AS intent"
    with pytest.warns(UserWarning, match="leaves out WHERE intent <> 'spam'"):
        found = sparknn_magic.explain(intents, rows, count=2)
    assert found.title == "1 mistake, the most confident first"
    assert re.search(r"✗ delivery \d+%, is refund: for it parcel \d", found.text)
    assert re.search(
        r'<span style="background: rgba\(213, 94, 0, 0.65\)" title="for: [\d.]+%">parcel</span>', found.html
    )


def test_a_look_at_texts_has_labels_and_reasons(intents):
    rows = "SELECT message FROM VALUES ('hello parcel is missing'), (''), (null) AS asked (message)"
    with pytest.warns(UserWarning, match="leaves out WHERE intent <> 'spam'"):
        found = sparknn_magic.look(intents, rows)
    title, _, first, empty, null = repr(found).split("\n")
    assert title == "rows scored by intents"
    assert re.search(r"^  delivery +█+░* +\d+\.\d% +hello parcel is missing$", first)
    assert (empty.strip(), null.strip()) == ("✗ empty text", "✗ null text")
    assert sparknn_magic.graph(intents).parameters == intents.meta["model"]["parameters"]


def test_the_cards_own_lines_score_a_text_without_this_package(spark, intents):
    card = (intents.folder / "README.md").read_text()
    code = re.search(r"```python\n(import json.*?)```", card, re.S)[1]
    text = "Hello 退款 where is it"
    script = code.replace('"your text"', repr(text))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=intents.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    label, score = done.stdout.split()
    ours = spark.sql(f"SELECT intents('{text}') AS p").first().p
    assert (label, float(score)) == (ours.label, pytest.approx(ours.score, abs=1e-6))


def test_a_dry_run_tells_of_texts_and_tokenizer(spark, messages, home):
    text = plan_text(sparknn_magic.run.dry_run(CELL, name="intents", spark=spark))
    assert re.search(r"texts +\d+ tokens in the median, \d+ at 95 %, \d+ at most; \d+ are read", text)
    assert re.search(r"tokenizer +trained on the training texts, \d+ tokens", text)
    assert "embedding" in text


def test_long_texts_are_cut_and_it_is_said(spark, home, messages):
    events = []
    cell = CELL.replace("  text: message\n", "  text: message\n  max_length: 5\n").replace("epochs: 14", "epochs: 1")
    model = train(spark, home, cell, "short", on_event=events.append)
    notes = [e["message"] for e in events if e["event"] == "note"]
    assert any(
        re.fullmatch(r"[\d,]+ of [\d,]+ texts have more than 5 tokens; the network reads the first 5\.", n)
        for n in notes
    )
    assert model.meta["input"]["length"] == 5


def test_rows_may_have_several_labels(spark, home):
    draw = np.random.default_rng(2)
    words = {"late": "delayed", "broken": "cracked", "rude": "shouted"}
    table = []
    for n in range(300):
        labels = [label for label in words if draw.random() < 0.4]
        said = [words[label] if label in labels else draw.choice(["fine", "okay"]) for label in words]
        table.append((n, " ".join(draw.permutation(said)), labels))
    frame = spark.createDataFrame(table, "id int, text string, label array<string>")
    frame.createOrReplaceTempView("complaints")
    cell = """
task: text-classification
data: {train: complaints, validation: 15%, test: 20%, key: id}
model:
- embedding: {dim: 16}
- global_max_pool1d
- dense
train: {epochs: 25, batch_size: 16, optimizer: {adamw: {lr: 2e-2}}, workers: 1}
"""
    model = train(spark, home, cell, "complaints_of")
    assert model.meta["classes"] == ["broken", "late", "rude"]
    found = model.predict(frame).collect()
    truth = np.array([[c in row.label for c in model.classes] for row in found])
    guess = np.array([[c in row.prediction.labels for c in model.classes] for row in found])
    assert f1_score(truth, guess, average="macro") > 0.95
    assert model.metrics["accuracy"] > 0.9
    assert json.loads((model.folder / "bundle.json").read_text())["several"] is True


def test_two_columns_are_read_as_a_pair(spark, home):
    draw = np.random.default_rng(3)
    cities = ["paris", "rome", "oslo", "kyoto"]
    table = []
    for n in range(400):
        first, second = draw.choice(cities, 2)
        table.append((n, f"from {first}", f"to {second}", "same" if first == second else "other"))
    table += [(400 + n, f"from {c}", f"to {c}", "same") for n, c in enumerate(cities * 50)]
    frame = spark.createDataFrame(table, "id int, a string, b string, label string")
    frame.createOrReplaceTempView("trips")
    cell = """
task: text-classification
data: {train: trips, text: [a, b], validation: 10%, test: 10%, key: id}
model:
- embedding: {dim: 8}
- flatten
- dense: 64
- relu
- dense
train: {epochs: 20, batch_size: 16, optimizer: {adamw: {lr: 1e-2}}, workers: 1}
"""
    model = train(spark, home, cell, "trips_of")
    assert model.metrics["accuracy"] > 0.95
    found = spark.sql("SELECT label, trips_of(a, b) AS p, trips_of(a, b, 0.99) AS sure FROM trips").collect()
    assert accuracy_score([r.label for r in found], [r.p.label for r in found]) > 0.95
    assert [r.sure is None for r in found] == [r.p.score < 0.99 for r in found]
    with pytest.raises(Exception, match="least score") as error:
        spark.sql("SELECT trips_of(a, b, 1.1) FROM trips").collect()
    assert spark_cause(error.value) == "the least score of a prediction is a number from 0 to 1, not 1.1."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("text: message", "text: mesage"), "has no column 'mesage' for the text. Did you mean 'message'?"),
        (("text: message", "text: id"), "column 'id' is int; texts are strings."),
        (("text: message", "image: message"), "data.image is for pictures; the column of texts is named by `text`."),
        (
            ("model:\n", "tokenizer: wordpice\nmodel:\n"),
            "there is no tokenizer named 'wordpice'. Did you mean 'wordpiece'?",
        ),
        (("text: message", "text: message\n  max_length: 1"), "data.max_length"),
        (("- nfkc", "- resize: 32"), "the preprocessor 'resize' is for"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said_with_its_place(spark, messages, change, words):
    with pytest.raises(SparkNNError) as caught:
        sparknn_magic.run.check(CELL.replace(*change), name="intents", spark=spark)
    assert words in str(caught.value)
    assert caught.value.line is not None
    assert len(str(caught.value).splitlines()) <= 2


def test_a_tokenizer_is_for_texts(spark, messages):
    cell = "task: vector-classification\ndata: {train: messages, label: intent}\ntokenizer: words\nmodel: mlp\n"
    with pytest.raises(SparkNNError, match="`tokenizer` is for tasks of texts, and vector-classification reads none"):
        sparknn_magic.run.check(cell, name="m", spark=spark)


def test_a_connect_client_trains_and_scores_texts(run_script):
    done = run_script(
        """
        import sparknn_magic
        from tests.flow.test_texts import CELL, rows
        spark.createDataFrame(rows(240), "id int, message string, intent string").createOrReplaceTempView("messages")
        model = sparknn_magic.train(CELL, name="intents", spark=spark, on_event=lambda event: None)
        print("accuracy", model.metrics["accuracy"] > 0.9)
        print("sql", spark.sql("SELECT intents(message, 0.0).label AS l FROM messages WHERE id = 0").first().l)
        print("error", spark.sql("SELECT intents('').error AS e").first().e)
        """,
        connect=True,
        env={"PYTHONPATH": str(__import__("pathlib").Path(__file__).parents[2])},
    )
    assert "accuracy True" in done.stdout
    assert "sql delivery" in done.stdout
    assert "error empty text" in done.stdout
