"""An SQL loss in torch: its values, its nulls, and gradients that are those of finite differences."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import Target
from sparknn_magic.training.expression import compile_loss
from tests.expressions import CLASSES, COLUMNS, expressions, rows

PETS = Target(CLASSES, (10, 20, 30))
PRICES = Target(mean=200.0, std=50.0)
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0], [-4.0, 1.0, 1.5], [0.3, 0.2, 0.1]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 0])
NAN = math.nan


def value(text, target=PETS, outputs=LOGITS, labels=LABELS, **columns):
    """The losses of four rows, and None where one is null: `coalesce` tells a null from a 0."""
    both = [compile_loss(f"coalesce({text}, {other}) + 0 * logit(0)", target) for other in (0, 1)]
    columns = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in columns.items()}
    low, high = (loss(outputs, labels, **columns).tolist() for loss in both)
    return [a if a == b or a != a else None for a, b in zip(low, high, strict=True)]


def gradient(text, target=PETS, outputs=LOGITS, labels=LABELS, **columns):
    outputs = outputs.clone().requires_grad_()
    columns = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in columns.items()}
    compile_loss(text, target)(outputs, labels, **columns).sum().backward()
    return outputs.grad


def test_the_weighted_cross_entropy_of_the_readme_is_torchs():
    loss = compile_loss("-ln(probability(label)) * CASE WHEN label = 'cat' THEN 2.0 ELSE 1.0 END", PETS)
    outputs = LOGITS.float()
    weight = torch.tensor([2.0, 1.0, 1.0])
    found = loss(outputs, LABELS)
    assert found.dtype == torch.float32
    assert torch.allclose(found, F.cross_entropy(outputs, LABELS, weight=weight, reduction="none"))


def test_names_stand_for_classes_and_their_numbers():
    assert value("target") == [0, 1, 2, 0]
    assert value("CAST(prediction = label AS DOUBLE)") == [1, 0, 1, 1]
    p = torch.softmax(LOGITS, 1)
    assert value("probability(prediction)") == pytest.approx(p.max(1).values.tolist())
    assert value("probability('eel')") == pytest.approx(p[:, 2].tolist())
    assert value("probability(CASE WHEN label = 'cat' THEN 'dog' ELSE label END)") == pytest.approx(
        p[torch.arange(4), torch.tensor([1, 1, 2, 1])].tolist()
    )


def test_logits_differ_as_the_networks_own_do():
    assert value("logit('cat') - logit('dog')") == pytest.approx((LOGITS[:, 0] - LOGITS[:, 1]).tolist())


def test_numbers_are_in_the_labels_own_unit():
    outputs, target = torch.tensor([0.0, 1.0], dtype=torch.float64), torch.tensor([0.5, -1.0], dtype=torch.float64)
    found = compile_loss("abs(prediction - target) + 0 * label", PRICES)(outputs, target)
    assert found.tolist() == pytest.approx([25.0, 100.0])
    assert compile_loss("prediction", PRICES)(outputs[:, None], target).tolist() == pytest.approx([200.0, 250.0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price + 1", [2.0, None, 0.0, 5.0]),
        ("ln(price)", [0.0, None, None, math.log(4)]),
        ("log1p(price)", [math.log(2), None, None, math.log(5)]),
        ("1 / (price - 1)", [None, None, -0.5, 1 / 3]),
        ("price % (price - 4)", [1.0, None, -1.0, None]),
        ("mod(-7, 2)", [-1.0] * 4),
        ("CASE WHEN price > 0 THEN 1 END", [1.0, None, None, 1.0]),
        ("CASE WHEN price > 0 THEN 1 ELSE 2 END", [1.0, 2.0, 2.0, 1.0]),
        ("if(NOT price > 0, 1, 2)", [2.0, 2.0, 1.0, 2.0]),
        ("if(price > 0 OR price IS NULL, 1, 2)", [1.0, 1.0, 2.0, 1.0]),
        ("if(price > 0 AND price <= 0, 1, if(price > 0 AND 1 = 1, 3, 4))", [3.0, 4.0, 4.0, 3.0]),
        ("greatest(price, 0)", [1.0, 0.0, 0.0, 4.0]),
        ("least(price, null, 2)", [1.0, 2.0, -1.0, 2.0]),
        ("nullif(price, 4)", [1.0, None, -1.0, None]),
        ("coalesce(price, 7)", [1.0, 7.0, -1.0, 4.0]),
        ("if(price IN (1, 2), 1, 0)", [1.0, 0.0, 0.0, 0.0]),
        ("if(price NOT IN (1, null), 1, 0)", [0.0, 0.0, 0.0, 0.0]),
        ("if(price <=> null, 1, 0)", [0.0, 1.0, 0.0, 0.0]),
        ("if(price BETWEEN -1 AND 1, 1, 0)", [1.0, 0.0, 1.0, 0.0]),
        ("if(flag, price, -price)", [1.0, None, 1.0, -4.0]),
        ("round(price * 0.5)", [1.0, None, -1.0, 2.0]),
        ("huber(price, 2)", [0.5, None, 0.5, 6.0]),
        ("sqrt(price - 2)", [NAN, None, NAN, math.sqrt(2)]),
        ("if(sqrt(-1) > 1e300, 1, 0)", [1.0] * 4),
        ("softplus(1000 * price)", [1000.0, None, 0.0, 4000.0]),
        ("log(2, 8) + log10(100) + log2(4)", [7.0] * 4),
    ],
)
def test_nulls_are_those_of_sql(text, expected):
    found = value(text, price=[1.0, NAN, -1.0, 4.0], flag=[1.0, 1.0, 0.0, NAN])
    assert [x is None for x in found] == [x is None for x in expected]
    same = pytest.approx([x for x in expected if x is not None], nan_ok=True, abs=1e-12)
    assert [x for x in found if x is not None] == same


def test_a_null_loss_is_0_and_moves_nothing():
    text = "-ln(probability(label)) * price"
    prices = {"price": [1.0, NAN, 2.0, NAN]}
    found = compile_loss(text, PETS)(LOGITS, LABELS, price=torch.tensor(prices["price"]))
    assert found[1] == found[3] == 0
    assert found[0] > 0
    grad = gradient(text, **prices)
    assert (grad[1] == 0).all()
    assert (grad[3] == 0).all()
    assert (grad[0] != 0).any()


@pytest.mark.parametrize(
    "text",
    [
        "CASE WHEN price > 0 THEN logit(0) / price ELSE logit(0) END",
        "CASE WHEN price > 0 THEN ln(price) * logit(0) ELSE logit(0) END",
        "CASE WHEN probability(0) > 2 THEN ln(probability(0) - 2) ELSE logit(0) END",
        "CASE WHEN probability(0) > 2 THEN sqrt(probability(0) - 2) ELSE logit(0) END",
        "CASE WHEN price > 0 THEN exp(price * 1e5 * probability(0)) * 0 ELSE logit(0) END",
        "if(price < 0, pow(price, probability(0)), logit(0))",
        "coalesce(price, ln(price) * probability(0)) + logit(0)",
        "logit(0) * nullif(price, 0) / nullif(price, 0)",
        "sqrt(pow(probability(0) - probability(0), 2)) + logit(0)",
        "greatest(ln(0 * probability(0)), logit(0))",
    ],
)
def test_what_a_row_does_not_use_puts_no_nan_into_its_gradient(text):
    assert torch.isfinite(gradient(text, price=[0.0, NAN, -1.0, 0.0])).all()


def test_the_worst_rows_keep_their_gradients():
    """A probability that rounds to 0 has a logarithm all the same, and so has what is left of one that rounds to 1."""
    outputs = torch.tensor([[-200.0, 0.0, 0.0], [200.0, 0.0, 0.0]])
    labels = torch.tensor([0, 0])
    found = compile_loss("-ln(probability(label))", PETS)(outputs, labels)
    assert found[0].item() == pytest.approx(200 + math.log(2))
    found = compile_loss("-ln(1 - probability(label))", PETS)(outputs, labels)
    assert found[1].item() == pytest.approx(200 - math.log(2))
    assert gradient("-ln(1 - probability(label))", outputs=outputs, labels=labels)[1, 0] == pytest.approx(1, abs=1e-5)


def test_a_column_that_the_rows_lack_is_named():
    with pytest.raises(SparkNNError, match="reads the column 'price', which the rows do not bring along"):
        compile_loss("price * logit(0)", PETS)(LOGITS, LABELS)


def test_columns_may_have_any_name():
    loss = compile_loss("`target` * logit(0) + `unit price` * logit(0)", PETS)
    found = loss(LOGITS, LABELS, **{"target": torch.ones(4), "unit price": torch.zeros(4)})
    assert torch.allclose(found, torch.log_softmax(LOGITS, 1)[:, 0])


STEP = 1e-5


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_gradients_are_those_of_finite_differences(data):
    learns = data.draw(st.sampled_from(["class", "number"]))
    text, table = data.draw(expressions(learns=learns)), data.draw(rows(count=8))
    columns = {name: tensor([NAN if row[name] is None else row[name] for row in table]) for name in COLUMNS}
    if learns == "class":
        outputs, labels = (
            tensor([row["probabilities"] for row in table]).log(),
            torch.tensor([r["target"] for r in table]),
        )
    else:
        outputs, labels = tensor([[row["number"]] for row in table]), tensor([row["truth"] for row in table])
    loss = compile_loss(text, PETS if learns == "class" else Target(std=2.0))

    def at(outputs):
        return loss(outputs, labels, **columns).detach().numpy()

    ours = outputs.clone().requires_grad_()
    loss(ours, labels, **columns).sum().backward()
    for k in range(outputs.shape[1]):
        along = torch.zeros_like(outputs)
        along[:, k] = STEP
        with np.errstate(all="ignore"):
            wide = (at(outputs + along) - at(outputs - along)) / (2 * STEP)
            narrow = (at(outputs + along / 2) - at(outputs - along / 2)) / STEP
            # Where the two disagree there is a jump, a bend or an overflow, and no derivative to compare with.
            smooth = np.isfinite(wide) & (np.abs(wide - narrow) <= 1e-6 * (1 + np.abs(narrow)))
        assert ours.grad[:, k].numpy()[smooth] == pytest.approx(narrow[smooth], rel=1e-3, abs=1e-4), text


def tensor(numbers):
    return torch.tensor(numbers, dtype=torch.float64)
