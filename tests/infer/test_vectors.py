"""Raw columns as Arrow arrays -> what a model file takes, and what it answers; no Spark."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sparknn_magic.data.vectors.job import Feature, FittedStep, input_names, vector_inputs
from sparknn_magic.data.vectors.worker import vector_reader
from sparknn_magic.errors import DataError
from sparknn_magic.export.columns import REGRESSION, Regressor, export_columns
from sparknn_magic.export.graph import CLASSIFICATION, Classifier
from sparknn_magic.infer.worker import number_writer
from sparknn_magic.plugin import Part, Target
from sparknn_magic.training.network import Network, Vectors
from sparknn_zoo.vector.mlp import mlp
from tests.data.tables import wines

VECTOR = pa.struct(
    [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64()))]
)


def plain(*features):
    return [{"name": f.name, "kind": f.kind, "type": f.type, "width": f.width} for f in features]


def reader(*features, required=()):
    return vector_reader(features=plain(*features), required=required)


NUMBER, TEXT = Feature("x", "number", "double"), Feature("c", "category", "string", 0)
ARRAY, SPARSE = Feature("v", "array", "array<float>", 2), Feature("w", "vector", "vector", 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, None, 3], pa.int64()), [1, np.nan, 3]),
        (pa.array([1.5, None, float("nan")], pa.float32()), [1.5, np.nan, np.nan]),
        (pa.array([True, False, None]), [1, 0, np.nan]),
        (pa.array(["1.25", "-3", None]).cast(pa.decimal128(6, 2)), [1.25, -3, np.nan]),
        (pa.nulls(3), [np.nan] * 3),
    ],
)
def test_numbers_of_every_type_are_read_and_a_null_is_nan(values, expected):
    found = reader(NUMBER)(values)
    assert found.inputs["x"].dtype == np.float64
    np.testing.assert_array_equal(found.inputs["x"], expected)
    assert found.errors == [None] * 3


def test_categories_are_texts_and_a_null_is_the_empty_one():
    for values, expected in [
        (pa.array(["a", None, ""]), ["a", "", ""]),
        (pa.array([7, -1, None], pa.int16()), ["7", "-1", ""]),
        (pa.array([True, False, None]), ["true", "false", ""]),
        (pa.array(["é", "b", None], pa.large_string()), ["é", "b", ""]),
    ]:
        found = reader(TEXT)(values)
        assert found.inputs["c"].dtype == object
        assert found.inputs["c"].tolist() == expected


def test_arrays_and_vectors_are_read_and_other_lengths_are_errors_of_their_rows():
    lists = pa.array([[1, 2], None, [3], [4, None]], pa.list_(pa.int32()))
    vectors = pa.array(
        [
            {"type": 1, "size": None, "indices": None, "values": [1.0, 2.0, 3.0]},
            {"type": 0, "size": 3, "indices": [2], "values": [5.0]},
            {"type": 0, "size": 3, "indices": [], "values": []},
            {"type": 0, "size": 4, "indices": [0], "values": [1.0]},
        ],
        VECTOR,
    )
    found = reader(ARRAY, SPARSE)(lists, vectors)
    assert found.errors == [None, None, "'v' does not hold 2 numbers", "'w' does not hold 3 numbers"]
    assert found.rows.tolist() == [0, 1]
    assert found.inputs["v"].dtype == np.float32
    np.testing.assert_array_equal(found.inputs["v"], [[1, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.inputs["w"], [[1, 2, 3], [0, 0, 5]])


def test_a_slice_of_arrow_arrays_is_read_as_that_slice():
    lists = pa.array([[float(i), i + 0.5] for i in range(10)])
    vectors = pa.array(
        [{"type": i % 2, "size": 3, "indices": [i % 3], "values": [float(i)] * (3 if i % 2 else 1)} for i in range(10)],
        VECTOR,
    )
    found = reader(ARRAY, SPARSE)(lists[4:7], vectors[4:7])
    np.testing.assert_array_equal(found.inputs["v"], [[4, 4.5], [5, 5.5], [6, 6.5]])
    np.testing.assert_array_equal(found.inputs["w"], [[0, 4, 0], [5, 5, 5], [6, 0, 0]])


def test_an_array_stands_for_a_vector_and_nothing_else_does():
    found = reader(SPARSE)(pa.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(found.inputs["w"], [[1, 2, 3]])
    with pytest.raises(DataError, match="column 'x' is string here; the model was trained on double"):
        reader(NUMBER)(pa.array(["1"]))
    with pytest.raises(DataError, match="column 'c' is double here; the model was trained on string"):
        reader(TEXT)(pa.array([1.5]))
    with pytest.raises(DataError, match="column 'w' is double here; the model was trained on vector"):
        reader(SPARSE)(pa.array([1.5]))


def test_infinite_numbers_and_nulls_that_nothing_fills_are_errors_of_their_rows():
    read = reader(NUMBER, ARRAY, TEXT, required=["x", "v[1]", "c"])
    inf = float("inf")
    found = read(
        pa.array([1.0, None, -inf, 1.0, 1.0, 1.0]),
        pa.array([[None, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, None], [inf, 1.0], [1.0, 1.0]]),
        pa.array(["a", "a", "a", "a", "a", None]),
    )
    assert found.errors == [None, "null 'x'", "infinite 'x'", "null 'v[1]'", "infinite 'v[0]'", "null 'c'"]
    assert found.rows.tolist() == [0]
    np.testing.assert_array_equal(found.inputs["v"], [[np.nan, 1]])


def test_predictions_are_written_beside_the_errors_of_other_rows():
    write = number_writer()
    found = write({"prediction": np.array([1.5, 2.5])}, np.array([0, 2]), [None, "null 'x'", None])
    assert found.to_pylist() == [
        {"prediction": 1.5, "error": None},
        {"prediction": None, "error": "null 'x'"},
        {"prediction": 2.5, "error": None},
    ]
    assert write({"prediction": np.array([3.0])}, np.array([0]), [None]).to_pylist() == [
        {"prediction": 3.0, "error": None}
    ]
    assert write({}, np.empty(0, np.int64), ["null 'x'"]).to_pylist() == [{"prediction": None, "error": "null 'x'"}]


def test_names_of_inputs_are_letters_and_no_output_s():
    features = [Feature(name, "number", "double") for name in ("a b", "a_b", "2nd", "features", "prix €")]
    assert input_names(features) == ["a_b", "a_b_", "_2nd", "features_in", "prix__"]


# The whole file


FEATURES = (
    Feature("alcohol", "number", "double"),
    Feature("colour of it", "category", "string", 0),
    Feature("malic", "number", "float"),
    Feature("phenols", "array", "array<float>", 2),
    Feature("cellar", "category", "int", 0),
)
COLOURS, CELLARS = ("", "dark", "light"), ("0", "10", "20")  # "medium" is not known


def fitted(x: np.ndarray) -> tuple[tuple[FittedStep, ...], np.ndarray]:
    """Steps as Spark would fit them, and what scikit-learn makes of the same rows."""
    imputer, scaler = SimpleImputer().fit(x), StandardScaler()
    filled = imputer.transform(x)
    standard = scaler.fit_transform(filled)
    low, high = np.quantile(standard[:, 2:], [0.05, 0.95], axis=0)
    standard[:, 2:] = np.clip(standard[:, 2:], low, high)
    span = MinMaxScaler().fit(standard[:, [0, 3]])
    standard[:, [0, 3]] = span.transform(standard[:, [0, 3]])
    zoo = "sparknn_zoo.preprocess"
    values = tuple(imputer.statistics_.tolist())
    steps = (
        FittedStep(Part(f"{zoo}.fill_nulls:fill_nulls", {"value": "mean"}), (0, 1, 2, 3), {"value": values}),
        FittedStep(
            Part(f"{zoo}.standardize:standardize"),
            (0, 1, 2, 3),
            {"mean": tuple(scaler.mean_.tolist()), "std": tuple(scaler.scale_.tolist())},
        ),
        FittedStep(
            Part(f"{zoo}.clip_outliers:clip_outliers", {"quantiles": (0.05, 0.95)}),
            (2, 3),
            {"low": tuple(low.tolist()), "high": tuple(high.tolist())},
        ),
        FittedStep(
            Part(f"{zoo}.min_max:min_max"),
            (0, 3),
            {"min": tuple(span.data_min_.tolist()), "max": tuple(span.data_max_.tolist())},
        ),
    )
    return steps, standard


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame(wines())


@pytest.fixture(scope="module")
def raw(table) -> dict[str, np.ndarray]:
    return {
        "alcohol": table.alcohol.to_numpy(float),
        "colour_of_it": table.colour.fillna("").to_numpy(object),
        "malic": table.malic.to_numpy(np.float32),
        "phenols": np.array(table.phenols.tolist(), np.float32),
        "cellar": table.cellar.astype(str).to_numpy(object),
    }


@pytest.fixture(scope="module")
def prepared(raw):
    """The steps; and the numbers and codes of the rows, by scikit-learn and pandas."""
    x = np.column_stack([raw["alcohol"], raw["malic"], raw["phenols"]]).astype(float)
    steps, numbers = fitted(x)
    codes = [pd.Categorical(raw[n], v).codes + 1 for n, v in (("colour_of_it", COLOURS), ("cellar", CELLARS))]
    assert (codes[0] == 0).any()
    return steps, torch.from_numpy(numbers).float(), torch.from_numpy(np.stack(codes, axis=1).astype(np.int32))


def body(outputs: int, *, scalar: bool = False) -> Network:
    torch.manual_seed(0)
    inputs = vector_inputs(FEATURES, (COLOURS, CELLARS), (2, 0))
    return Network(Vectors(), mlp(inputs, outputs, width=16, depth=1), scalar=scalar).eval()


@pytest.fixture(scope="module")
def classifier(prepared, tmp_path_factory):
    network, path = body(3), tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_columns(
        Classifier(network).eval(), FEATURES, prepared[0], (COLOURS, CELLARS), CLASSIFICATION, path, {"name": "wine"}
    )
    return network, path


def test_the_file_answers_on_raw_rows_as_scikit_learn_and_the_network_do(classifier, prepared, raw):
    network, path = classifier
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()] == [
        ("alcohol", "tensor(double)", []),
        ("colour_of_it", "tensor(string)", []),
        ("malic", "tensor(float)", []),
        ("phenols", "tensor(float)", [2]),
        ("cellar", "tensor(string)", []),
    ]
    assert [o.name for o in session.get_outputs()] == ["probabilities", "index", "features"]
    assert session.get_modelmeta().custom_metadata_map["name"] == "wine"
    with torch.inference_mode():
        expected = torch.softmax(network(*prepared[1:]), dim=1).numpy()
    for rows in (slice(0, 1), slice(0, 7), slice(None)):
        found = session.run(None, {name: values[rows] for name, values in raw.items()})
        np.testing.assert_allclose(found[0], expected[rows], atol=2e-6)
        assert found[1].tolist() == expected[rows].argmax(1).tolist()
        assert found[2].shape[1] == 16


def test_the_reader_s_arrays_go_in_as_they_are(classifier, raw, table):
    _, path = classifier
    arrays = [
        pa.array(table.alcohol, from_pandas=True),
        pa.array(table.colour),
        pa.array(table.malic.to_numpy(np.float32)),
        pa.array(table.phenols.tolist(), pa.list_(pa.float32())),
        pa.array(table.cellar.to_numpy(np.int32)),
    ]
    found = reader(*FEATURES)(*arrays)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(["index"], found.inputs)[0], session.run(["index"], raw)[0])


def test_a_file_of_numbers_learnt_answers_in_the_label_s_units(prepared, raw, tmp_path):
    network, target = body(1, scalar=True), Target(mean=1.7e9, std=250.0)
    export_columns(
        Regressor(network, target).eval(),
        FEATURES,
        prepared[0],
        (COLOURS, CELLARS),
        REGRESSION,
        tmp_path / "m.onnx",
        {},
    )
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [(o.name, o.type) for o in session.get_outputs()] == [
        ("prediction", "tensor(double)"),
        ("features", "tensor(float)"),
    ]
    with torch.inference_mode():
        expected = network(*prepared[1:]).double().numpy() * 250.0 + 1.7e9
    np.testing.assert_allclose(session.run(["prediction"], raw)[0], expected, atol=2e-3)


@pytest.mark.parametrize("only", ["number", "category"])
def test_a_file_of_numbers_or_of_categories_alone_is_as_good(only, tmp_path):
    features = [NUMBER] if only == "number" else [TEXT]
    categories = () if only == "number" else (("a", "b"),)
    network = Network(Vectors(), mlp(vector_inputs(features, categories, (0,) * len(categories)), 2, width=4)).eval()
    export_columns(Classifier(network).eval(), features, (), categories, CLASSIFICATION, tmp_path / "m.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    raw = {"x": np.array([1.0, 2.0, 3.0])} if only == "number" else {"c": np.array(["a", "z", "b"], object)}
    numbers = torch.tensor([[1.0], [2.0], [3.0]]) if only == "number" else torch.zeros(3, 0)
    codes = torch.zeros(3, 0, dtype=torch.int32) if only == "number" else torch.tensor([[1], [0], [2]])
    with torch.inference_mode():
        expected = torch.softmax(network(numbers, codes), dim=1).numpy()
    np.testing.assert_allclose(session.run(["probabilities"], raw)[0], expected, atol=1e-6)
