"""The learning-rate sweep of one rank and of two, and what is read from its curve."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from sparknn_magic.lr_finder import LearningRates, smooth, steepest
from sparknn_magic.plugin import Part
from sparknn_magic.show.rates import rate_text
from sparknn_magic.training.job import Sweep
from sparknn_magic.training.sweep import rate_at
from sparknn_magic.training.worker import run_rank
from tests.training.networks import TWO
from tests.training.ranks import job, rows

SGD = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 0.3, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False})


def swept(folder, plan, batch=None):
    task = job(folder, sweep=plan, architecture=TWO, optimizer=SGD)
    ((kind, _, data),) = run_rank(
        iter([rows(200) if batch is None else batch]), task, 0, 1, "127.0.0.1", lambda text: [text]
    )
    assert kind == "swept"
    return json.loads(data)["losses"]


def test_rates_rise_by_the_same_factor_from_the_first_to_the_last():
    plan = Sweep(5, 1e-4, 1.0)
    assert [rate_at(plan, n) for n in range(5)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_rates_that_are_too_small_change_nothing_and_good_ones_lower_the_loss(tmp_path):
    losses = swept(tmp_path, Sweep(120, 1e-6, 1.0))
    assert len(losses) == 120
    # Batches differ; the mean over an epoch's 13 does not.
    assert sum(losses[:13]) / 13 == pytest.approx(sum(losses[13:26]) / 13, rel=0.05)
    assert min(losses[80:]) < 0.7 * losses[0]


def test_the_sweep_ends_when_the_loss_has_grown_to_four_times_its_least(tmp_path):
    # Classes by chance: there is a limit to what can be learnt of them, and no way back from a step that is too long.
    chance = np.random.default_rng(9).integers(0, 3, 200)
    losses = swept(tmp_path, Sweep(300, 1e-4, 1e6), rows(200).set_column(2, "label", pa.array(chance, pa.int32())))
    assert len(losses) < 300
    assert losses[-1] > 2 * losses[0]
    assert all(math.isfinite(loss) for loss in losses)


def test_a_sweep_is_the_same_again_and_takes_up_no_checkpoint(tmp_path):
    plan = Sweep(20, 1e-4, 1.0)
    assert swept(tmp_path, plan) == swept(tmp_path, plan)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_the_suggestion_is_where_the_curve_falls_fastest():
    # A falling logistic curve in the rate's logarithm is steepest at its middle, here 1e-2.
    rates = [10 ** (-6 + 8 * n / 200) for n in range(201)]
    losses = [2 - 1 / (1 + math.exp(-4 * (math.log10(rate) + 2))) for rate in rates]
    assert math.log10(steepest(rates, smooth(losses))) == pytest.approx(-2, abs=0.1)
    assert LearningRates(rates, losses, 1.0).suggestion == pytest.approx(1e-2, rel=0.3)


def test_what_comes_after_the_lowest_point_is_not_looked_at():
    rates = [10.0**n for n in range(-5, 3)]
    assert (
        steepest(rates, [3, 3, 2.5, 1.5, 1, 9, 4, 20]) == 1e-3 or steepest(rates, [3, 3, 2.5, 1.5, 1, 9, 4, 20]) == 1e-2
    )


def test_a_loss_that_never_falls_gives_no_suggestion():
    rates = [10.0**n for n in range(-10, 0)]
    found = LearningRates(rates, [1.0 + 0.1 * n for n in range(10)], 2.0)
    assert found.suggestion is None
    assert repr(found).startswith("no learning rate found: the loss has not fallen anywhere (10 steps from 1.0e-10 to")


def test_the_result_is_shown_as_words_and_as_a_picture_in_light_and_dark():
    rates = [10 ** (-6 + 8 * n / 200) for n in range(201)]
    losses = [2 - 1 / (1 + math.exp(-4 * (math.log10(rate) + 2))) for rate in rates]
    found = LearningRates(rates, losses, 12.0)
    assert repr(found) == (
        f"suggested learning rate: {rate_text(found.suggestion)}, where the loss falls fastest "
        "(201 steps from 1.0e-6 to 1.0e2 in 12.0 s)"
    )
    html = found._repr_html_()
    assert html.count("data:image/svg+xml") == 2
    assert "suggested learning rate" in html
    assert "<script" not in html
    assert {axes.get_xlabel() for axes in found.figure().axes} == {"learning rate"}


@pytest.mark.parametrize(("rate", "words"), [(0.00123, "1.2e-3"), (0.999, "1.0e0"), (10.0, "1.0e1"), (3e-7, "3.0e-7")])
def test_a_rate_is_written_with_two_digits(rate, words):
    assert rate_text(rate) == words
    assert float(words) == pytest.approx(rate, rel=0.05)
