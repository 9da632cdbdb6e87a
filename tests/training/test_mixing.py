"""Mixed pictures: which rows each is made of, and what its loss is."""

import numpy as np
import pytest
import torch
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import TrainError
from sparknn_magic.plugin import Part
from sparknn_magic.training.job import Field, TrainRows
from sparknn_magic.training.network import Pixels, build_network
from sparknn_magic.training.rows import Batch
from sparknn_magic.training.steps import Stepper
from sparknn_zoo.augment.cutmix import cutmix
from sparknn_zoo.augment.mixup import mixup, partners
from tests.training.networks import TWO
from tests.training.ranks import INPUTS, VALIDATION, fit, job, rows

HERE = "tests.training.test_mixing"
MIXUP, CUTMIX = Part("sparknn_zoo.augment.mixup:mixup", {}), Part("sparknn_zoo.augment.cutmix:cutmix", {})


def one_hot(count, size=16):
    """Pictures of which number k has ones in channel k alone: after mixing, a channel's mean is its row's share."""
    return torch.eye(count)[:, :, None, None].expand(count, count, size, size).contiguous()


def shares(front, count):
    """Return what the front says: float32[rows, rows], how much of each row's picture comes from which row."""
    table = torch.zeros(count, count)
    for index, share in front.mixed:
        table[torch.arange(count), index] += share
    return table


def pixels(*steps, real=None):
    front = Pixels(mean=(0.0,), std=(1.0,))
    front.augment, front.real = steps, real
    return front


@pytest.mark.parametrize("name", ["random_affine", "random_rotation", "random_resized_crop", "color_jitter", "cutmix"])
def test_pictures_change_alike_whatever_the_network_computes_in(name):
    front = pixels(registry.get("augmentation", name).build()).train()
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 64, 48, 3)).astype(np.uint8))
    found = []
    for enabled in (False, True):
        torch.manual_seed(4)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(front(images)[0])
    assert torch.equal(*found)


@pytest.mark.parametrize("steps", [[mixup(alpha=1.0)], [cutmix()], [mixup(alpha=0.5), cutmix()], [cutmix(), mixup()]])
def test_the_shares_told_are_those_of_the_pixels(steps):
    torch.manual_seed(3)
    front = pixels(*steps)
    mixed = front.augmented(one_hot(8))
    torch.testing.assert_close(mixed.mean((2, 3)), shares(front, 8), atol=1e-5, rtol=0)
    assert len(front.mixed) == 2 ** len(steps)
    assert float(shares(front, 8).diagonal().mean()) < 0.95


def test_mixup_is_the_papers_formula():
    torch.manual_seed(0)
    images = torch.rand(6, 3, 4, 4)
    mixed, partner, share = mixup(alpha=1.0).mix(images, 6)
    expected = np.stack(
        [
            s * images[i].numpy() + (1 - s) * images[p].numpy()
            for i, (p, s) in enumerate(zip(partner, share.tolist(), strict=True))
        ]
    )
    np.testing.assert_allclose(mixed.numpy(), expected, rtol=1e-5)
    assert sorted(partner.tolist()) == list(range(6))


def test_a_cutmix_rectangle_has_the_area_of_the_papers_formula():
    torch.manual_seed(0)
    step = cutmix(alpha=1.0)
    torch.manual_seed(5)
    _, drawn = partners(200, 200, 1.0, 1.0)
    torch.manual_seed(5)
    _, _, share = step.mix(torch.zeros(200, 1, 100, 100), 200)
    # Cut off at the edge, a rectangle is never larger than (1 - share) of the picture, rounded to pixels.
    assert bool((share >= drawn - 0.03).all())
    whole = share[(share - drawn).abs() < 0.03]
    assert len(whole) > 20
    assert 0.55 < float(share.mean()) < 0.8


def test_shares_are_drawn_from_beta():
    torch.manual_seed(0)
    _, share = partners(4000, 4000, 0.2, 1.0)
    # Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
    assert float(share.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(share.var()) == pytest.approx(1 / (4 * 1.4), abs=0.01)
    _, some = partners(4000, 4000, 1.0, 0.25)
    assert float((some < 1).float().mean()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("step", [mixup(alpha=1.0), cutmix()])
def test_rows_without_weight_are_mixed_into_none_and_stay_as_they_are(step):
    torch.manual_seed(0)
    front = pixels(step, real=5)
    mixed = front.augmented(one_hot(8))
    assert float(mixed[:5, 5:].abs().max()) == 0
    assert torch.equal(mixed[5:], one_hot(8)[5:])


def test_nothing_is_mixed_when_the_network_is_judged():
    front = pixels(mixup(alpha=1.0)).eval()
    front(torch.zeros(2, 4, 4, 1, dtype=torch.uint8))
    assert front.mixed == ()


def weighted(*, power: float = 1.0):
    """A loss that reads a column."""

    def loss(outputs, target, price):
        return nn.functional.cross_entropy(outputs, target, reduction="none") * price**power

    loss.columns = ("price",)
    return loss


def test_the_loss_is_that_of_both_targets_by_their_shares_whatever_the_loss(tmp_path):
    spec = job(tmp_path).rows
    with_price = TrainRows(spec.inputs, spec.fields, spec.front, spec.target, (Field("price"),))
    task = job(tmp_path, architecture=TWO, augment=(MIXUP, CUTMIX), rows=with_price, loss=Part(f"{HERE}:weighted", {}))
    stepper = Stepper(task, torch.device("cpu"), 1)
    stepper.train()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (9, 12, 12, 1), generator=generator, dtype=torch.uint8)
    target, price = torch.arange(9) % 3, torch.rand(9, generator=generator)
    torch.manual_seed(7)
    loss, figure = stepper._pass(Batch((images,), target, {"price": price}), 7)
    torch.manual_seed(7)
    outputs = stepper.network(images).detach()
    table = shares(stepper.network.front, 9)[:7].double()
    log_softmax = torch.log_softmax(outputs.double(), 1)[:7]
    each = -log_softmax[:, target] * price.double()  # of every row's outputs with every row's target and price
    torch.testing.assert_close(float(loss.detach()), float((table * each).sum()), rtol=1e-5, atol=1e-6)
    right = (outputs.argmax(1)[:7, None] == target[None, :]).double()
    torch.testing.assert_close(float(figure), float((table * right).sum()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", [MIXUP, CUTMIX])
def test_a_network_learns_from_mixed_pictures(tmp_path, part):
    done = fit(job(tmp_path, augment=(part,), epochs=8), [rows(200), rows(60, seed=1, split=VALIDATION)])
    assert done.history[-1]["validation_accuracy"] > 0.85
    assert INPUTS.channels == 1


def test_the_same_seed_mixes_alike(tmp_path):
    first = fit(job(tmp_path / "1", augment=(MIXUP, CUTMIX)), [rows(60)])
    again = fit(job(tmp_path / "2", augment=(MIXUP, CUTMIX)), [rows(60)])
    assert first.weights == again.weights


def test_rows_that_are_no_pictures_are_not_augmented_in_silence(tmp_path):
    vectors = Part("sparknn_magic.training.network:Vectors")
    spec = job(tmp_path).rows
    wrong = job(tmp_path, augment=(MIXUP,), rows=TrainRows(spec.inputs, spec.fields, vectors, spec.target))
    with pytest.raises(TrainError, match="augment: changes pictures, and the rows of this task are none"):
        build_network(wrong)
