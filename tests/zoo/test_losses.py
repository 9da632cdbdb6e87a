"""The built-in losses against torch, scikit-learn and the papers' formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import hinge_loss, log_loss
from sklearn.utils.class_weight import compute_class_weight

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, SpecError
from sparknn_magic.plugin import Target, build_loss

PETS = Target(("cat", "dog", "eel"), (10, 30, 60))
TWO = Target(("no", "yes"), (3, 5))
PRICES = Target(mean=200.0, std=50.0)
LOGITS = 3 * torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(24) % 3


def make(name, target=PETS, **options):
    return build_loss(registry.get("loss", name).build, target, options)


def softmax(logits):
    e = np.exp(logits.double().numpy() - logits.double().numpy().max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_cross_entropy_without_options_is_scikit_learns_log_loss():
    rows = make("cross_entropy")(LOGITS, LABELS)
    assert rows.shape == (24,)
    assert rows.dtype == torch.float32
    assert rows.mean().item() == pytest.approx(log_loss(LABELS, softmax(LOGITS), labels=[0, 1, 2]), rel=1e-5)


def test_weights_of_classes_multiply_the_rows_of_that_class_and_others_count_once():
    rows = make("cross_entropy", class_weights={"dog": 3.0})(LOGITS, LABELS)
    plain = make("cross_entropy")(LOGITS, LABELS)
    assert torch.allclose(rows, plain * torch.tensor([1.0, 3.0, 1.0])[LABELS])


def test_balanced_weights_are_scikit_learns():
    labels = np.repeat([0, 1, 2], PETS.rows)
    weights = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=labels)
    rows = make("cross_entropy", class_weights="balanced")(LOGITS, LABELS)
    plain = make("cross_entropy")(LOGITS, LABELS)
    assert (rows / plain).numpy() == pytest.approx(weights[LABELS], rel=1e-5)


def test_smoothing_and_weights_together_are_torchs():
    rows = make("cross_entropy", label_smoothing=0.2, class_weights={"eel": 0.5})(LOGITS, LABELS)
    weight = torch.tensor([1.0, 1.0, 0.5])
    expected = F.cross_entropy(LOGITS, LABELS, weight=weight, label_smoothing=0.2, reduction="none")
    assert torch.allclose(rows, expected)


def test_keras_users_find_sparse_cross_entropy():
    keras = make("sparse_cross_entropy", label_smoothing=0.1, class_weights={"cat": 2.0})
    ours = make("cross_entropy", label_smoothing=0.1, class_weights={"cat": 2.0})
    assert torch.equal(keras(LOGITS, LABELS), ours(LOGITS, LABELS))


def test_binary_cross_entropy_of_two_outputs_is_the_softmax_kind():
    logits, labels = LOGITS[:, :2], LABELS.clamp(max=1)
    softmax_kind = F.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(make("binary_cross_entropy", TWO)(logits, labels), softmax_kind, atol=1e-6)


def test_binary_cross_entropy_of_one_output_is_scikit_learns_log_loss():
    logit, labels = LOGITS[:, :1], LABELS.clamp(max=1)
    rows = make("binary_cross_entropy", TWO)(logit, labels)
    p = 1 / (1 + np.exp(-logit[:, 0].double().numpy()))
    assert rows.mean().item() == pytest.approx(log_loss(labels, p), rel=1e-5)
    heavier = make("binary_cross_entropy", TWO, positive_weight=4)(logit, labels)
    assert torch.allclose(heavier, torch.where(labels == 1, 4 * rows, rows))


def test_multilabel_cross_entropy_is_the_mean_over_the_classes_of_binary_ones():
    labels = (torch.rand(24, 3, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    rows = make("multilabel_cross_entropy")(LOGITS, labels)
    p = 1 / (1 + np.exp(-LOGITS.double().numpy()))
    expected = [log_loss(labels[i], p[i], labels=[0, 1]) for i in range(24)]
    assert rows.numpy() == pytest.approx(expected, rel=1e-5)


def test_multilabel_cross_entropy_refuses_one_class_a_row():
    with pytest.raises(SparkNNError, match="a 0 or 1 for each class, and here a row has one class"):
        make("multilabel_cross_entropy")(LOGITS, LABELS)


def test_focal_is_the_papers_formula():
    p_t = softmax(LOGITS)[np.arange(24), LABELS]
    assert make("focal")(LOGITS, LABELS).numpy() == pytest.approx(-((1 - p_t) ** 2) * np.log(p_t), rel=1e-4, abs=1e-6)
    weighted = make("focal", gamma=0.5, alpha={"cat": 0.25})(LOGITS, LABELS).numpy()
    alpha = np.array([0.25, 1, 1])[LABELS]
    assert weighted == pytest.approx(-alpha * (1 - p_t) ** 0.5 * np.log(p_t), rel=1e-4, abs=1e-6)


def test_focal_without_focus_is_cross_entropy():
    assert torch.allclose(make("focal", gamma=0)(LOGITS, LABELS), make("cross_entropy")(LOGITS, LABELS))


def test_focals_alpha_is_the_share_of_the_second_of_two_classes():
    logits, labels = LOGITS[:, :2], LABELS.clamp(max=1)
    rows, plain = (make("focal", TWO, **options)(logits, labels) for options in ({"alpha": 0.25}, {}))
    assert torch.allclose(rows / plain, torch.where(labels == 1, 0.25, 0.75))


def test_focal_has_a_finite_gradient_where_a_row_is_certain():
    logits = torch.tensor([[200.0, 0.0, 0.0], [0.0, 200.0, 0.0]], requires_grad=True)
    make("focal", gamma=0.5)(logits, torch.tensor([0, 0])).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_hinge_is_scikit_learns():
    rows = make("hinge")(LOGITS, LABELS)
    assert rows.mean().item() == pytest.approx(hinge_loss(LABELS, LOGITS, labels=[0, 1, 2]), rel=1e-5)
    assert torch.allclose(make("hinge", squared=True)(LOGITS, LABELS), rows**2)


def test_errors_of_numbers_are_torchs():
    outputs, target = LOGITS[:, 0], LOGITS[:, 1]
    for name, theirs in {"mse": F.mse_loss, "mae": F.l1_loss}.items():
        assert torch.allclose(make(name, PRICES)(outputs, target), theirs(outputs, target, reduction="none"))
        assert torch.allclose(make(name, PRICES)(outputs[:, None], target), make(name, PRICES)(outputs, target))


def test_hubers_delta_is_in_the_labels_own_unit():
    outputs, target = LOGITS[:, 0], LOGITS[:, 1]
    rows = make("huber", PRICES, delta=25)(outputs, target)
    in_euros = F.huber_loss(outputs * 50 + 200, target * 50 + 200, delta=25.0, reduction="none")
    assert torch.allclose(rows * 50**2, in_euros, rtol=1e-4)
    one_deviation = F.huber_loss(outputs, target, delta=1.0, reduction="none")
    assert torch.allclose(make("huber", PRICES)(outputs, target), one_deviation)


@pytest.mark.parametrize(
    ("name", "target", "options", "words"),
    [
        ("cross_entropy", PETS, {"class_weights": {"dgo": 2}}, "class_weights has no class 'dgo'. Did you mean 'dog'?"),
        ("cross_entropy", PETS, {"class_weights": {"dog": -2}}, "class_weights is -2 for 'dog'; it must be at least 0"),
        ("cross_entropy", PRICES, {}, "cross_entropy is a loss of classes, and a number is learnt here"),
        ("binary_cross_entropy", PETS, {}, "binary_cross_entropy is for two classes, and there are 3"),
        ("binary_cross_entropy", TWO, {"positive_weight": 0}, "positive_weight is 0; it must be above 0"),
        ("focal", PETS, {"alpha": 0.25}, "one number as alpha is for two classes, and there are 3"),
        ("focal", TWO, {"alpha": 1.5}, "focal: alpha is 1.5; it must be between 0 and 1"),
        ("focal", PETS, {"gamma": -1}, "focal: gamma is -1; it must be at least 0"),
        ("hinge", PETS, {"margin": 0}, "hinge: margin is 0; it must be above 0"),
        ("huber", PRICES, {"delta": 0}, "huber: delta is 0; it must be above 0"),
        ("mse", PETS, {}, "mse is a loss of numbers, and classes are learnt here"),
    ],
)
def test_a_loss_that_does_not_fit_says_so_in_one_line(name, target, options, words):
    with pytest.raises(SpecError) as caught:
        make(name, target, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", [n for n in registry.names("loss") if n != "sql"])
def test_every_loss_can_be_tried_before_anything_is_known(name):
    assert callable(make(name, Target()))
