import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sparknn_magic import registry
from sparknn_magic.errors import SpecError


def optimizer(name, parameters, **options):
    return registry.get("optimizer", name).build(parameters, **options)


def walk(make, start, steps=5):
    """Return where an optimizer leads on the bowl sum(w^4)."""
    w = start.clone().requires_grad_()
    stepper = make([w])
    for _ in range(steps):
        stepper.zero_grad()
        (w**4).sum().backward()
        stepper.step()
    return w.detach().numpy()


START = torch.tensor([1.0, -0.5, 0.25], dtype=torch.float64)


def test_adamw_goes_where_the_paper_says():
    w, m, v = START.numpy().copy(), np.zeros(3), np.zeros(3)
    for t in range(1, 6):  # Loshchilov and Hutter 2019, algorithm 2
        g = 4 * w**3
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g**2
        step = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        w = w - 0.01 * step - 0.01 * 0.1 * w
    ours = walk(lambda p: optimizer("adamw", p, lr=0.01, weight_decay=0.1, betas=[0.8, 0.99]), START)
    assert ours == pytest.approx(w, rel=1e-9)


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_goes_where_momentum_leads(nesterov):
    w, b = START.numpy().copy(), np.zeros(3)
    for _ in range(5):
        g = 4 * w**3 + 0.1 * w
        b = 0.9 * b + g
        w = w - 0.01 * (g + 0.9 * b if nesterov else b)
    ours = walk(lambda p: optimizer("sgd", p, lr=0.01, weight_decay=0.1, nesterov=nesterov), START)
    assert ours == pytest.approx(w, rel=1e-9)


def test_sgd_without_momentum_needs_no_other_option():
    ours = walk(lambda p: optimizer("sgd", p, lr=0.01, momentum=0, weight_decay=0), START, steps=1)
    assert ours == pytest.approx(START.numpy() - 0.01 * 4 * START.numpy() ** 3)


def test_cross_entropy_is_one_loss_a_row_as_torch_computes_it():
    logits, target = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5
    rows = registry.get("loss", "cross_entropy").build()(logits, target)
    assert rows.shape == (8,)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.mean(), F.cross_entropy(logits, target))


def test_cross_entropy_of_a_coin_is_the_logarithm_of_two():
    fair = registry.get("loss", "cross_entropy").build()
    assert fair(torch.zeros(1, 2), torch.tensor([0])).item() == pytest.approx(math.log(2))


def test_label_smoothing_spreads_its_share_over_all_classes():
    logits, target = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5
    rows = registry.get("loss", "cross_entropy").build(label_smoothing=0.1)(logits, target)
    probabilities = 0.9 * np.eye(5)[target] + 0.1 / 5
    shifted = logits.numpy().astype(float)
    log_softmax = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    assert rows.numpy() == pytest.approx(-(probabilities * log_softmax).sum(1), rel=1e-5)


def test_label_smoothing_above_one_is_refused():
    with pytest.raises(SpecError, match="cross_entropy: label_smoothing is 10; it must be between 0 and 1"):
        registry.get("loss", "cross_entropy").build(label_smoothing=10)
