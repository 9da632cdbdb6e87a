"""The losses as SQL functions: the same figures as the losses themselves, as torch and scikit-learn compute them."""

import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import hinge_loss, log_loss

from sparknn_magic import registry
from sparknn_magic.evaluate.functions import FUNCTIONS, register

LOGITS = 2 * torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3
NAMES = ["cat", "dog", "eel"]


@pytest.fixture(scope="module")
def table(spark):
    register(spark)
    columns = {
        "p": pa.array(torch.softmax(LOGITS, 1).tolist(), pa.list_(pa.float32())),
        "n": pa.array(LABELS.tolist(), pa.int32()),
        "name": pa.array([NAMES[i] for i in LABELS]),
        "x": pa.array(LOGITS[:, 0].double().tolist()),
        "y": pa.array(LOGITS[:, 1].double().tolist()),
        "every": pa.array((LOGITS > 0).int().tolist(), pa.list_(pa.int32())),
    }
    spark.createDataFrame(pa.table(columns)).createOrReplaceTempView("scored_losses")
    yield "scored_losses"
    spark.catalog.dropTempView("scored_losses")


def rows(spark, table, expression):
    return torch.tensor(spark.sql(f"SELECT {expression} AS loss FROM {table}").toArrow().column("loss").to_pylist())


@pytest.mark.parametrize(
    ("expression", "loss"),
    [
        ("nn_cross_entropy(p, n)", "cross_entropy"),
        ("nn_focal(p, n)", "focal"),
        ("nn_hinge(p, n)", "hinge"),
    ],
)
def test_a_function_is_the_loss_of_its_name(spark, table, expression, loss):
    ours = rows(spark, table, expression)
    assert torch.allclose(ours, registry.get("loss", loss).build()(LOGITS, LABELS), rtol=1e-4, atol=1e-5)


def test_the_means_are_scikit_learns(spark, table):
    p = torch.softmax(LOGITS.double(), 1)
    mean = rows(spark, table, "avg(nn_cross_entropy(p, n))").item()
    assert mean == pytest.approx(log_loss(LABELS, p, labels=[0, 1, 2]), rel=1e-4)
    mean = rows(spark, table, "avg(nn_hinge(p, n))").item()
    assert mean == pytest.approx(hinge_loss(LABELS, LOGITS, labels=[0, 1, 2]), rel=1e-4)


def test_a_label_may_be_a_name_beside_the_classes(spark, table):
    by_name = rows(spark, table, "nn_cross_entropy(p, name, array('cat', 'dog', 'eel'))")
    assert torch.equal(by_name, rows(spark, table, "nn_cross_entropy(p, n)"))
    focal = rows(spark, table, "nn_focal(p, name, array('cat', 'dog', 'eel'), gamma => 0)")
    assert torch.allclose(focal, by_name)


def test_binary_and_multilabel_cross_entropy_are_scikit_learns(spark, table):
    p, labels = torch.softmax(LOGITS.double(), 1), (LOGITS > 0).int()
    mean = rows(spark, table, "avg(nn_binary_cross_entropy(p[0], every[0]))").item()
    assert mean == pytest.approx(log_loss(labels[:, 0], p[:, 0]), rel=1e-4)
    each = rows(spark, table, "nn_multilabel_cross_entropy(p, every)")
    expected = F.binary_cross_entropy(p, labels.double(), reduction="none").mean(1).float()
    assert torch.allclose(each, expected, rtol=1e-4)


def test_errors_of_numbers_are_torchs(spark, table):
    x, y = LOGITS[:, 0], LOGITS[:, 1]
    assert torch.allclose(rows(spark, table, "nn_mse(x, y)"), F.mse_loss(x, y, reduction="none"))
    assert torch.allclose(rows(spark, table, "nn_mae(x, y)"), F.l1_loss(x, y, reduction="none"))
    huber = F.huber_loss(x, y, delta=0.5, reduction="none")
    assert torch.allclose(rows(spark, table, "nn_huber(x, y, 0.5)"), huber)


def test_nulls_and_unknown_labels_give_null_and_a_probability_of_0_is_finite(spark, table):
    zero = "array(0D, 1D)"
    found = spark.sql(
        f"SELECT nn_cross_entropy({zero}, 0), nn_cross_entropy({zero}, 7), nn_cross_entropy(null, 0), "
        f"nn_hinge({zero}, null), nn_focal({zero}, 'x', array('a')), nn_mse(null, 1)"
    ).first()
    assert found[0] == pytest.approx(103.279, rel=1e-4)
    assert list(found[1:]) == [None] * 5


def test_every_function_says_what_it_is(spark, table):
    for name in FUNCTIONS:
        said = "\n".join(row[0] for row in spark.sql(f"DESCRIBE FUNCTION {name}").collect())
        assert name in said
