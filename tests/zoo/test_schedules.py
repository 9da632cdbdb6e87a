import pytest
import torch
from torch.optim import lr_scheduler

from sparknn_magic import registry
from sparknn_magic.errors import SpecError


def build(name, steps, epoch_steps, **options):
    return registry.get("schedule", name).build(steps, epoch_steps, **options)


def rates_of_torch(make, steps, lr):
    """Return the learning rates that torch's own scheduler sets, step by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("steps", [2, 7, 100, 1173])
@pytest.mark.parametrize(
    "options", [{}, {"pct_start": 0.05, "div_factor": 10.0, "final_div_factor": 100.0}, {"pct_start": 0.0}]
)
def test_one_cycle_has_the_values_of_torch(steps, options):
    torchs = rates_of_torch(lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=steps + 1, **options), steps, 0.5)
    # One step more than the run has: torch's scheduler is stepped once after the last step, too.
    factor = build("one_cycle", steps + 1, 10, **options)
    assert [0.5 * factor(i) for i in range(steps)] == pytest.approx(torchs, rel=1e-9)


@pytest.mark.parametrize("final_factor", [0.0, 0.1])
def test_cosine_has_the_values_of_torch(final_factor):
    make = lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=200, eta_min=0.3 * final_factor)  # noqa: E731
    factor = build("cosine", 200, 10, final_factor=final_factor)
    # torch's recursion adds up rounding errors: 1e-6 of the largest rate.
    assert [0.3 * factor(i) for i in range(200)] == pytest.approx(rates_of_torch(make, 200, 0.3), abs=3e-7)


def test_step_has_the_values_of_torch_stepped_once_an_epoch():
    torchs = rates_of_torch(lambda o: lr_scheduler.StepLR(o, step_size=3, gamma=0.2), 10, 0.3)
    factor = build("step", 70, 7, every=3, gamma=0.2)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx([rate for rate in torchs for _ in range(7)])


def test_constant_is_one_at_every_step():
    assert {build("constant", 50, 5)(i) for i in range(50)} == {1.0}


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("name", registry.names("schedule"))
def test_factors_stay_above_0_and_at_most_1_for_runs_of_any_length(name, steps):
    factor = build(name, steps, 1)
    assert all(0 < factor(i) <= 1 for i in range(steps))


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("pct_start", [0.0, 0.1, 0.5, 1.0])
def test_one_cycle_divides_by_no_zero_where_a_phase_has_no_step(steps, pct_start):
    factor = build("one_cycle", steps, 1, pct_start=pct_start)
    assert all(0 < factor(i) <= 1 for i in range(steps))


def test_a_run_of_one_step_takes_it_at_the_full_rate():
    assert build("one_cycle", 1, 1)(0) == 1


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("one_cycle", {"pct_start": 30}, "one_cycle: pct_start is 30; it must be between 0 and 1"),
        ("one_cycle", {"div_factor": 0.5}, "div_factor is 0.5; it must be at least 1"),
        ("cosine", {"final_factor": 2}, "cosine: final_factor is 2; it must be between 0 and 1"),
        ("step", {"every": 0}, "step: every is 0; it must be at least 1"),
        ("step", {"gamma": 0}, "step: gamma is 0; it must be above 0"),
    ],
)
def test_an_impossible_option_is_named_with_its_bounds(name, options, words):
    with pytest.raises(SpecError, match=words):
        build(name, 100, 10, **options)
