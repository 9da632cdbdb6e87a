"""Nearest rows: the blocks against scikit-learn's own search, the odd rows, and the whole as a Spark job."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.neighbors import NearestNeighbors

from sparknn_magic.errors import DataError, SpecError
from sparknn_magic.infer import nearest as blocks
from sparknn_magic.infer.embeddings import array_writer, embedding_writer, vector_writer
from sparknn_magic.infer.nearest import candidates, nearest, pack
from sparknn_magic.infer.search import VECTOR, WRITE, Side, search
from sparknn_magic.infer.spark import model_udf
from tests.data.pictures import encode
from tests.infer.models import job

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # py4j's sockets

MATCH = pa.struct([("id", pa.int64())])


def vectors(rows, width=24, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def batches(features, *, errors=None, size=700, keys=None):
    """What `pack` is given: rows with the vectors that the model's function has written."""
    count = len(features)
    reasons = errors or [None] * count
    good = np.array([n for n, reason in enumerate(reasons) if reason is None])
    found = vector_writer()({"features": features[good]} if len(good) else {}, good, reasons)
    row = pa.StructArray.from_arrays([pa.array(np.arange(count))], names=["id"])
    key = pa.array(np.arange(count) if keys is None else keys, pa.int64())
    whole = pa.RecordBatch.from_arrays([row, key, found], names=["row", "key", "found"])
    return [whole.slice(start, size) for start in range(0, count, size)]


def found_by_blocks(queries, rows, k, *, order=None, **more):
    """The k best of each query, ids and scores, as tasks find them: (queries, k) each."""
    left = [(n, block) for n, block in enumerate(pack(batches(queries), queries=True))]
    right = list(pack(batches(rows, **more), queries=False))
    if order is not None:
        right = [right[n] for n in order]
    names = ["block", "query_vectors", "query_rows", "vectors", "rows"]
    pairs = [
        pa.RecordBatch.from_arrays([pa.array([n]), *q.columns, *r.columns], names=names) for r in right for n, q in left
    ]
    out = [row for batch in nearest(pairs, k, MATCH) for row in batch.to_pylist()]
    out.sort(key=lambda row: row["query"]["id"])
    return (
        np.array([[each["match"]["id"] for each in row["found"]] for row in out]),
        np.array([[each["score"] for each in row["found"]] for row in out]),
    )


def by_sklearn(queries, rows, k):
    search = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(rows.astype(np.float64))
    distance, index = search.kneighbors(queries.astype(np.float64))
    return index, 1 - distance


@pytest.mark.parametrize("k", [1, 10, 400])
def test_the_nearest_are_those_of_scikit_learn(monkeypatch, k):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 300)
    monkeypatch.setattr(blocks, "CHUNK_ROWS", 64)
    queries, rows = vectors(500, seed=1), vectors(2000, seed=2)
    index, score = found_by_blocks(queries, rows, k)
    wanted, cosine = by_sklearn(queries, rows, k)
    np.testing.assert_array_equal(index, wanted)
    np.testing.assert_allclose(score, cosine, atol=1e-14)


def test_the_answer_does_not_depend_on_the_blocks_nor_on_their_order(monkeypatch):
    draw = np.random.default_rng(3)
    rows = vectors(40, seed=4)[draw.integers(0, 40, 3000)]  # many equal ones
    queries = vectors(60, seed=5)
    first = found_by_blocks(queries, rows, 7)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 257)
    parts = math.ceil(3000 / 257)
    again = found_by_blocks(queries, rows, 7, size=257, order=draw.permutation(parts))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_of_equal_scores_the_smaller_key_is_first():
    rows = np.repeat(vectors(1, seed=6), 50, axis=0)
    keys = np.random.default_rng(7).permutation(50)
    index, score = found_by_blocks(vectors(1, seed=8), rows, 50, keys=keys)
    assert keys[index[0]].tolist() == list(range(50))
    assert len(set(score[0])) == 1


def test_scores_closer_than_a_float32_can_tell_are_told_apart():
    base = np.zeros(64)
    base[0] = 1
    rows = np.tile(base, (200, 1))
    rows[:, 1] = np.linspace(0, 1e-3, 200)[::-1]
    rows = rows.astype(np.float32)
    index, _ = found_by_blocks(base[None].astype(np.float32), rows, 20)
    assert index[0].tolist() == list(range(199, 179, -1))


def test_a_vector_of_zeros_has_the_score_0_as_in_scikit_learn():
    rows = vectors(5, seed=9)
    rows[2] = 0
    index, score = found_by_blocks(vectors(3, seed=10), rows, 5)
    assert [row[where.tolist().index(2)] for row, where in zip(score, index, strict=True)] == [0, 0, 0]


def test_only_rows_that_could_be_among_the_best_are_looked_at_again():
    scores = np.random.default_rng(11).normal(size=(50, 4000)).astype(np.float32)
    query, row = candidates(scores, np.full(50, -np.inf), 5, 1e-6)
    assert len(query) == 250
    assert set(zip(query.tolist(), row.tolist(), strict=True)) == {
        (q, r) for q in range(50) for r in np.argsort(scores[q])[-5:].tolist()
    }
    none = candidates(scores, np.full(50, 100.0), 5, 1e-6)
    assert len(none[0]) == 0


def test_writers_give_null_and_the_reason_where_a_row_was_not_scored():
    outputs = {"embedding": np.array([[0.6, 0.8]], np.float32), "features": np.array([[3.0, 4.0]], np.float32)}
    rows, errors = np.array([1]), ["null text", None]
    assert array_writer()(outputs, rows, errors).to_pylist() == [None, pytest.approx([0.6, 0.8])]
    assert embedding_writer()(outputs, rows, errors).to_pylist()[0] == {"embedding": None, "error": "null text"}
    vector = vector_writer()(outputs, rows, errors).to_pylist()[1]["vector"]
    assert np.frombuffer(vector, np.float32).tolist() == [3.0, 4.0]
    assert embedding_writer()({}, np.empty(0, np.int64), ["empty text"]).to_pylist() == [
        {"embedding": None, "error": "empty text"}
    ]


# From here on with Spark: pictures, whose features are their mean colours.


def picture(colour):
    return bytearray(encode(np.full((4, 5, 3), colour, np.uint8)))


@pytest.fixture(scope="module")
def colours():
    return np.random.default_rng(12).integers(1, 255, (90, 3))


@pytest.fixture(scope="module")
def shelf(spark, colours):
    values = [(n, picture(colour), {"n": n}) for n, colour in enumerate(colours)]
    values += [(90, bytearray(b"no picture"), {}), (91, None, {})]
    return spark.createDataFrame(values, "id int, image binary, more map<string, int>").repartition(5)


def side(spark, rows, file):
    asked = replace(job(file), write=WRITE, outputs=("features",), result=VECTOR)
    udf = model_udf(asked, file, spark, once=True)
    return Side(rows, ["image"], udf)


def test_spark_finds_for_each_query_what_scikit_learn_finds(spark, shelf, colours, model_file):
    asked = np.random.default_rng(13).integers(1, 255, (20, 3))
    rows = [(f"q{n}", picture(colour)) for n, colour in enumerate(asked)]
    rows += [("bad", bytearray(b"no picture")), ("none", None), ("q0", picture(asked[0]))]
    queries = spark.createDataFrame(rows, "name string, image binary").repartition(3)
    found = search(side(spark, shelf, model_file), side(spark, queries, model_file), 4)
    assert found.columns == ["name", "image", "rank", "score", "match", "error"]
    rows = found.orderBy("name", "rank").collect()
    wanted, cosine = by_sklearn(asked.astype(np.float32), colours.astype(np.float32), 4)
    for n in range(1, 20):
        mine = [row for row in rows if row.name == f"q{n}"]
        assert [row.rank for row in mine] == [1, 2, 3, 4]
        assert [row.match.id for row in mine] == wanted[n].tolist()
        assert [row.score for row in mine] == pytest.approx(cosine[n].tolist(), abs=1e-6)
        assert mine[0].match.more == {"n": mine[0].match.id}
    assert sum(row.name == "q0" for row in rows) == 8  # each of two equal queries has its own answers
    odd = {row.name: row for row in rows if row.name in ("bad", "none")}
    assert [odd[name].error for name in ("bad", "none")] == ["not an image (JPEG, PNG, WebP, BMP or GIF)", "null"]
    assert all(row.rank is row.score is row.match is None for row in odd.values())
    assert all(row.error is None for row in rows if row.match is not None)


def test_queries_that_find_nothing_stay(spark, shelf, model_file):
    queries = spark.createDataFrame([("a", picture((1, 2, 3)))], "name string, image binary")
    (row,) = search(side(spark, shelf.limit(0), model_file), side(spark, queries, model_file), 3).collect()
    assert (row.name, row.rank, row.match, row.error) == ("a", None, None, None)
    assert search(side(spark, shelf, model_file), side(spark, queries.limit(0), model_file), 3).collect() == []


def test_what_cannot_be_asked_is_said_in_a_line(spark, shelf, model_file):
    rows = side(spark, shelf, model_file)
    with pytest.raises(SpecError, match="k is 0; it must be a whole number of 1 or more"):
        search(rows, rows, 0)
    queries = side(spark, shelf.withColumnRenamed("id", "Score"), model_file)
    with pytest.raises(DataError, match="the queries already have a column 'Score'"):
        search(rows, queries, 3)


SCRIPT = """
import tempfile
from pathlib import Path

import numpy as np
from sparknn_magic.infer.search import search
from tests.infer.models import write_model
from tests.infer.test_search import picture, side

colours = [(200, 10, 10), (10, 200, 10), (10, 10, 200)]
rows = spark.createDataFrame([(n, picture(c)) for n, c in enumerate(colours)], "id int, image binary")
queries = spark.createDataFrame([("blue", picture((20, 30, 220))), ("none", None)], "name string, image binary")
with tempfile.TemporaryDirectory() as folder:
    file = write_model(Path(folder))
    found = search(side(spark, rows, file), side(spark, queries, file), 2)
    for row in found.orderBy("name", "rank").collect():
        print(row.name, row.rank, row.match and row.match.id, row.error)
"""


def test_a_connect_session_searches_too(run_script, request):
    done = run_script(SCRIPT, connect=True, env={"PYTHONPATH": str(request.config.rootpath)})
    assert done.stdout.splitlines()[-3:] == ["blue 1 2 None", "blue 2 1 None", "none None None null"]
