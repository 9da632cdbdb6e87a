"""Columns of every kind -> shards: statistics as scikit-learn has them, codes, dropped rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sparknn_magic.data.splits import TRAIN, VALIDATION
from sparknn_magic.data.vectors.spark import inspect, prepare, sample_rows
from sparknn_magic.data.vectors.worker import vector_reader
from tests.data.tables import by_row, frame, lay_out, matrix, wines

NUMBERS = ["alcohol", "malic", "ash", "magnesium", "old"]
DATA = "train: wine\nlabel: grape\nkey: id\nvalidation: 20%\n"
FEATURES = "features: [alcohol, malic, ash, magnesium, old, colour, cellar, phenols, extract]\ncategories: cellar\n"


@pytest.fixture(scope="module")
def wine(spark):
    found = frame(spark).persist()
    yield found
    found.unpersist()


def training_table(plan) -> pd.DataFrame:
    """The training rows in pandas, the vector as an array."""
    ids = {row.id for row in plan.train.select("id").collect()}
    found = pd.DataFrame([row for row in wines() if row["id"] in ids])
    return found.assign(**{name: found[name].astype(float) for name in NUMBERS})


def all_numbers(table: pd.DataFrame) -> np.ndarray:
    """alcohol, malic, ash, magnesium, old, phenols[0], phenols[1], extract[0], extract[1], extract[2]."""
    phenols = np.array(table["phenols"].tolist())
    extract = np.stack([np.zeros(len(table)), phenols[:, 0], np.zeros(len(table))], axis=1)
    return np.hstack([table[NUMBERS].to_numpy(), phenols, extract])


@pytest.fixture(scope="module")
def standardized(spark, wine, tmp_path_factory):
    plan = lay_out(spark, DATA + FEATURES, {"wine": wine}, "preprocess: [{fill_nulls: mean}, standardize]")
    return plan, prepare(plan, str(tmp_path_factory.mktemp("prepared")))


def test_columns_of_every_kind_become_numbers_and_codes(standardized):
    _, prepared = standardized
    assert [(f.name, f.kind, f.width) for f in prepared.features] == [
        ("alcohol", "number", 1),
        ("malic", "number", 1),
        ("ash", "number", 1),
        ("magnesium", "number", 1),
        ("old", "number", 1),
        ("colour", "category", 0),
        ("cellar", "category", 0),
        ("phenols", "array", 2),
        ("extract", "vector", 3),
    ]
    assert prepared.inputs.numbers == 10
    assert prepared.inputs.categories == (5, 4)  # unknown, null, dark, light, medium; unknown, 0, 10, 20
    assert prepared.inputs.embedded == (0, 0)
    assert prepared.categories == (("", "dark", "light", "medium"), ("0", "10", "20"))
    assert prepared.classes == ("barbera", "barolo", "grignolino")
    assert sum(prepared.rows.values()) == 178
    assert prepared.dropped == []


def test_the_numbers_are_those_of_scikit_learns_imputer_and_scaler(spark, standardized):
    plan, prepared = standardized
    expected = all_numbers(training_table(plan))
    assert prepared.missing[0] == np.isnan(expected[:, 0]).sum() > 0
    expected = StandardScaler().fit_transform(SimpleImputer().fit_transform(expected))
    found = matrix(prepared.frame(spark), TRAIN)
    np.testing.assert_allclose(found, by_row(expected.astype(np.float32)), atol=2e-6)


def test_validation_rows_have_no_say_in_the_statistics(spark, standardized):
    plan, prepared = standardized
    ids = {row.id for row in plan.validation.select("id").collect()}
    assert len(ids) == prepared.rows["validation"]
    training = all_numbers(training_table(plan))
    validation = all_numbers(
        pd.DataFrame([r for r in wines() if r["id"] in ids]).assign(
            **{n: [float(r[n]) if r[n] is not None else np.nan for r in wines() if r["id"] in ids] for n in NUMBERS}
        )
    )
    imputer = SimpleImputer().fit(training)
    expected = StandardScaler().fit(imputer.transform(training)).transform(imputer.transform(validation))
    np.testing.assert_allclose(
        matrix(prepared.frame(spark), VALIDATION), by_row(expected.astype(np.float32)), atol=2e-6
    )


def test_codes_are_numbered_by_value_and_the_rest_is_as_for_pictures(spark, standardized):
    plan, prepared = standardized
    table = training_table(plan)
    numbers = {"": 1, "dark": 2, "light": 3, "medium": 4}
    colours = [numbers[colour or ""] for colour in table.colour]
    expected = np.stack([colours, 1 + table.cellar // 10], axis=1)
    np.testing.assert_array_equal(matrix(prepared.frame(spark), TRAIN, "codes", np.int32), by_row(expected))
    assert prepared.frame(spark).dtypes == [
        ("split", "int"),
        ("row", "bigint"),
        ("label", "int"),
        ("numbers", "binary"),
        ("codes", "binary"),
    ]
    assert prepared.class_rows == table.grape.value_counts().to_dict()


def test_the_same_rows_and_steps_are_found_again_and_other_steps_are_not(spark, wine, standardized):
    plan, prepared = standardized
    folder = prepared.uri.rpartition("/")[0]
    again = prepare(plan, folder)
    assert again.reused
    assert (again.steps, again.inputs, again.categories) == (prepared.steps, prepared.inputs, prepared.categories)
    other = lay_out(spark, DATA + FEATURES, {"wine": wine}, "preprocess: [{fill_nulls: median}, standardize]")
    assert other.fingerprint() != plan.fingerprint()


def test_steps_see_what_the_steps_before_them_give(spark, wine, tmp_path):
    fill = "{fill_nulls: {value: median, columns: [alcohol]}}"
    steps = f"[{{clip_outliers: [0.1, 0.9]}}, {fill}, {{min_max: {{columns: [Alcohol, malic]}}}}]"
    data = DATA + "features: [alcohol, malic, magnesium]\n"
    plan = lay_out(spark, data, {"wine": wine}, f"preprocess: {steps}")
    prepared = prepare(plan, str(tmp_path))
    x = training_table(plan)[["alcohol", "malic", "magnesium"]].to_numpy()
    low, high = np.nanquantile(x, [0.1, 0.9], axis=0, method="inverted_cdf")
    clipped = np.clip(x, low, high)
    middle = np.nanquantile(clipped[:, 0], 0.5, method="inverted_cdf")
    clipped[:, 0] = np.where(np.isnan(clipped[:, 0]), middle, clipped[:, 0])
    clipped[:, :2] = MinMaxScaler().fit_transform(clipped[:, :2])
    np.testing.assert_allclose(matrix(prepared.frame(spark), TRAIN), by_row(clipped.astype(np.float32)), atol=1e-6)


def test_numbers_learnt_are_standardized_with_their_own_mean_and_deviation(spark, wine, tmp_path):
    data = "train: wine\nlabel: proline\nkey: id\nfeatures: [malic, colour]"
    plan = lay_out(spark, data, {"wine": wine}, kind="regression")
    prepared = prepare(plan, str(tmp_path))
    truth = training_table(plan).proline
    assert prepared.mean == pytest.approx(truth.mean(), rel=1e-12)
    assert prepared.std == pytest.approx(truth.std(ddof=0), rel=1e-12)
    labels = [row.label for row in prepared.frame(spark).where("split = 0").collect()]
    np.testing.assert_allclose(np.sort(labels), np.sort((truth - truth.mean()) / truth.std(ddof=0)), atol=1e-12)
    assert prepared.classes == ()


def test_many_categories_are_embedded_and_rare_ones_are_unknown(spark):
    rows = [(i, f"v{i % 40:02d}", ("x" * (i % 3), None)[i % 5 == 0], i % 2) for i in range(400)]
    rows += [(400 + i, "v00", "x", 0) for i in range(10)]
    table = spark.createDataFrame(rows, "id int, many string, few string, label int")
    data = "train: table\nkey: id\nvalidation: null"
    found = inspect(lay_out(spark, data, {"table": table}))
    assert found.inputs.categories == (41, 4)
    assert found.inputs.embedded == (13, 0)
    assert found.categories[1] == ("", "x", "xx")
    step = "preprocess: [{embed: {columns: [many], width: 3, most: 2}}]"
    found = inspect(lay_out(spark, data, {"table": table}, step))
    assert found.categories[0] == ("v00", "v01")  # the most frequent one, and the first of all others
    assert found.distinct[0] == 40
    assert found.inputs.embedded[0] == 3
    found = inspect(lay_out(spark, data, {"table": table}, "preprocess: [{one_hot: many}]"))
    assert found.inputs.embedded[0] == 0


@pytest.fixture(scope="module")
def broken(spark, tmp_path_factory):
    """Good rows beside every kind that cannot be used."""
    inf, nan = float("inf"), float("nan")
    good = [(i, float(i), [1.0, float(i)], "ab"[i % 2], "yes" if i % 3 else "no", "trn") for i in range(30)]
    bad = [
        (100, inf, [1.0, 2.0], "a", "yes", "trn"),
        (101, 1.0, [1.0, -inf], "a", "yes", "val"),
        (102, 1.0, [1.0], "a", "yes", "trn"),
        (103, 1.0, [1.0, 2.0, 3.0], "a", "yes", "trn"),
        (104, None, [1.0, 2.0], "a", "yes", "trn"),
        (105, nan, [1.0, 2.0], "a", "yes", "trn"),
        (106, 1.0, None, "a", "yes", "trn"),
        (107, 1.0, [1.0, None], None, "yes", "trn"),
        (108, 1.0, [1.0, 2.0], None, "yes", "trn"),
        (109, 1.0, [1.0, 2.0], "a", None, "trn"),
        (110, 1.0, [1.0, 2.0], "a", "maybe", "val"),
        (111, 2.0, [1.0, 2.0], "never seen", "yes", "val"),
    ]
    table = spark.createDataFrame(
        [*good, *bad], "id int, x double, v array<double>, c string, label string, side string"
    )
    data = "train: table\nkey: id\nvalidation: {column: side, is: val}"
    plan = lay_out(spark, data, {"table": table}, "preprocess: [{fill_nulls: drop}, standardize]")
    return prepare(plan, str(tmp_path_factory.mktemp("broken")))


def test_every_unusable_row_is_dropped_and_counted_with_its_reason(broken):
    assert broken.dropped == [
        {"reason": "'v' does not hold 2 numbers", "rows": 2},
        {"reason": "infinite 'v[1]'", "rows": 1},
        {"reason": "infinite 'x'", "rows": 1},
        {"reason": "label not among the training classes", "rows": 1},
        {"reason": "null 'c'", "rows": 1},
        {"reason": "null 'v[0]'", "rows": 1},
        {"reason": "null 'v[1]'", "rows": 1},
        {"reason": "null 'x'", "rows": 2},
        {"reason": "null label", "rows": 1},
    ]
    assert broken.rows == {"train": 30, "validation": 1}
    assert broken.required() == ["x", "v[0]", "v[1]", "c"]


def test_dropped_rows_have_no_say_in_the_statistics_and_an_unknown_category_is_code_0(spark, broken):
    fitted = broken.steps[1].fitted
    assert fitted["mean"] == pytest.approx((14.5, 1.0, 14.5))
    assert fitted["std"] == pytest.approx((np.std(np.arange(30)), 0.0, np.std(np.arange(30))))
    rows = broken.frame(spark)
    assert (matrix(rows, TRAIN)[:, 1] == 0).all()  # a column that never changes is only shifted
    assert matrix(rows, VALIDATION, "codes", np.int32).tolist() == [[0]]


def test_a_sample_holds_the_rows_as_they_are_and_as_they_are_prepared(broken):
    read = vector_reader(
        features=[{"name": f.name, "kind": f.kind, "type": f.type, "width": f.width} for f in broken.features],
        required=broken.required(),
    )
    sample = sample_rows(broken, TRAIN, 100, read)
    assert sample.raw["x"].shape == (30,)
    assert sample.raw["v"].shape == (30, 2)
    assert set(sample.raw["c"]) == {"a", "b"}
    np.testing.assert_allclose(sample.numbers[:, 0], (sample.raw["x"] - 14.5) / np.std(np.arange(30)), atol=1e-6)
    assert sample.labels.tolist() == [int(i % 3 > 0) for i in sample.raw["x"].astype(int)]
