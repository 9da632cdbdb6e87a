"""Arrow arrays in, predictions out, with no Spark: the numbers are numpy's own, computed in double precision."""

import dataclasses

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknn_magic.errors import InferenceError
from sparknn_magic.infer.worker import (
    SESSIONS,
    ahead,
    cached_session,
    classification_writer,
    make_session,
    micro_batch,
    predict,
    resolve_providers,
)
from tests.data.pictures import encode
from tests.infer.models import CLASSES, job, probabilities, write_model

PICTURES = np.random.default_rng(5).integers(0, 256, (23, 4, 5, 3), np.uint8)
ENCODED = [encode(picture) for picture in PICTURES]


def score(values, file, **changed) -> list[dict]:
    arrays = values if isinstance(values, list) and values and isinstance(values[0], pa.Array) else [pa.array(values)]
    made = list(predict(iter(arrays), job(file, **changed), str(file)))
    assert [len(array) for array in made] == [len(array) for array in arrays]
    return [row for array in made for row in array.to_pylist()]


def assert_scored(rows: list[dict], pictures: np.ndarray) -> None:
    expected = probabilities(pictures)
    np.testing.assert_allclose([row["probabilities"] for row in rows], expected, atol=1e-6)
    np.testing.assert_allclose([row["score"] for row in rows], expected.max(axis=1), atol=1e-6)
    assert [row["label"] for row in rows] == [CLASSES[i] for i in expected.argmax(axis=1)]
    assert [row["error"] for row in rows] == [None] * len(rows)


def test_predictions_are_the_models(model_file):
    assert_scored(score(ENCODED, model_file), PICTURES)


@pytest.mark.parametrize("batch_size", [0, 1, 2, 7, 22, 23, 24, 1000])
def test_the_micro_batch_changes_nothing(model_file, batch_size):
    assert_scored(score(ENCODED, model_file, batch_size=batch_size), PICTURES)


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 8), st.lists(st.integers(0, 22), max_size=8))
@settings(max_examples=30, deadline=None)
def test_rows_keep_their_place_whatever_the_batches_and_the_bad_rows(model_file, lengths, batch_size, bad):
    values = [None if i in bad else value for i, value in enumerate(ENCODED)]
    starts = np.cumsum([0, *lengths])
    arrays = [pa.array(values, pa.binary())[start : start + n] for start, n in zip(starts, lengths, strict=False)]
    rows = score(arrays, model_file, batch_size=batch_size) if arrays else []
    expected = probabilities(PICTURES)
    for i, row in enumerate(rows):
        if i in bad:
            assert row == {"label": None, "score": None, "probabilities": None, "error": "null"}
        else:
            np.testing.assert_allclose(row["probabilities"], expected[i], atol=1e-6)
            assert row["error"] is None


def test_no_arrays_and_no_rows_give_no_predictions(model_file):
    assert list(predict(iter([]), job(model_file), str(model_file))) == []
    assert score([pa.array([], pa.binary()), pa.array([], pa.binary())], model_file) == []


def test_bad_rows_have_reasons_and_no_numbers(model_file):
    rows = score([None, ENCODED[0], b"text", b"", ENCODED[1][:60]], model_file)
    assert [row["error"] for row in rows] == [
        "null",
        None,
        "not an image (JPEG, PNG, WebP, BMP or GIF)",
        "empty",
        "truncated PNG image",
    ]
    assert [row["label"] is None for row in rows] == [True, False, True, True, True]
    assert [row["score"] is None for row in rows] == [True, False, True, True, True]
    assert [row["probabilities"] is None for row in rows] == [True, False, True, True, True]


def test_failfast_stops_at_the_first_bad_row_and_says_why(model_file):
    with pytest.raises(InferenceError, match=r"a row cannot be scored: empty\.\nMode 'permissive' gives"):
        score([ENCODED[0], b"", None], model_file, mode="failfast")
    assert_scored(score(ENCODED, model_file, mode="failfast"), PICTURES)


def test_predictions_have_the_columns_types_without_a_cast(model_file):
    made = next(predict(iter([pa.array(ENCODED)]), job(model_file), str(model_file)))
    element = pa.field("element", pa.float32())
    assert made.type == pa.struct(
        {"label": pa.string(), "score": pa.float32(), "probabilities": pa.list_(element), "error": pa.string()}
    )
    made.validate(full=True)


def test_the_writer_puts_numbers_beside_their_rows():
    write = classification_writer(classes=["a", "b"])
    outputs = {"probabilities": np.array([[0.25, 0.75], [0.5, 0.5]], np.float32), "index": np.array([1, 0])}
    made = write(outputs, np.array([1, 2]), ["null", None, None, "empty"])
    made.validate(full=True)
    assert made.to_pylist() == [
        {"label": None, "score": None, "probabilities": None, "error": "null"},
        {"label": "b", "score": 0.75, "probabilities": [0.25, 0.75], "error": None},
        {"label": "a", "score": 0.5, "probabilities": [0.5, 0.5], "error": None},
        {"label": None, "score": None, "probabilities": None, "error": "empty"},
    ]


def test_one_worker_makes_one_session_for_a_model(model_file, tmp_path):
    first = cached_session(job(model_file), str(model_file))
    assert cached_session(job(model_file, mode="failfast"), str(tmp_path / "elsewhere")) is first
    assert cached_session(job(model_file, threads=2), str(model_file)) is not first


def test_a_worker_keeps_only_the_newest_sessions(model_file):
    first = cached_session(job(model_file), str(model_file))
    for k in range(SESSIONS):
        cached_session(dataclasses.replace(job(model_file), digest=f"{k}"), str(model_file))
    assert cached_session(job(model_file), str(model_file)) is not first


def test_a_file_that_is_no_model_is_said_in_a_line(tmp_path):
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"not a model")
    with pytest.raises(InferenceError, match="the model file does not load in ONNX Runtime: ") as raised:
        score(ENCODED, file)
    assert "\n" not in str(raised.value)


def test_pictures_that_the_model_cannot_take_are_said_in_a_line(tmp_path):
    file = write_model(tmp_path, height=9, width=9)
    with pytest.raises(InferenceError, match=r"the model does not run on image uint8\[23, 4, 5, 3\]: ") as raised:
        list(predict(iter([pa.array(ENCODED)]), job(file), str(file)))
    assert "\n" not in str(raised.value)


# Providers.


def test_auto_is_cuda_where_it_is_and_the_cpu_elsewhere():
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    assert resolve_providers(("auto",), [cpu]) == [cpu]
    assert resolve_providers(("auto",), ["TensorrtExecutionProvider", cuda, cpu]) == [cuda, cpu]
    assert resolve_providers(("cuda", "cpu"), [cuda, cpu]) == [cuda, cpu]
    assert resolve_providers((cpu, "auto"), [cuda, cpu]) == [cpu, cuda]


@pytest.mark.parametrize("name", ["CUDAExecutionProvider", "cuda"])
def test_a_provider_asked_for_by_name_and_missing_is_an_error(model_file, name):
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InferenceError, match=rf"there is no provider '{name}' on this worker.*\nAvailable: .*CPUExec"):
        score(ENCODED, model_file, providers=(name,))


def test_a_misspelt_provider_suggests_the_nearest():
    with pytest.raises(InferenceError, match="Did you mean 'cpu'"):
        resolve_providers(("cpuu",), ["CPUExecutionProvider"])


def test_the_cpu_by_name_scores(model_file):
    assert_scored(score(ENCODED, model_file, providers=("CPUExecutionProvider",)), PICTURES)


def test_a_micro_batch_is_large_for_small_pictures_and_small_for_large_ones(tmp_path):
    sizes = [
        micro_batch(make_session(str(write_model(tmp_path, height=side, width=side)), threads=1))
        for side in (4, 32, 224)
    ]
    assert sizes == [1024, 32, 1]
    session = make_session(str(write_model(tmp_path, height=32, width=32)), threads=1)
    assert micro_batch(session, weights=40_000_000) == 128


# Reading beside running.


def test_reading_ahead_keeps_order_and_passes_errors_on():
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []

    def broken():
        yield 1
        raise ValueError("second")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="second"):
        next(items)


def test_reading_ahead_reads_one_and_no_more():
    made = []
    items = ahead(iter(lambda: made.append(len(made)) or len(made), None))
    assert next(items) == 1
    items.close()
    assert made == [0, 1]
