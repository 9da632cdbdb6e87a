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


REQUIRED = {
    "multi_step": {"milestones": (3, 7)},
    "sequential": {"schedules": ("constant", "cosine"), "milestones": (1,)},
    "chained": {"schedules": ("constant", "cosine")},
}


@pytest.mark.parametrize("steps", [2, 7, 100, 1173])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pct_start": 0.05, "div_factor": 10.0, "final_div_factor": 100.0},
        {"pct_start": 0.0},
        {"anneal_strategy": "linear"},
        {"three_phase": True},
        {"three_phase": True, "pct_start": 0.45, "anneal_strategy": "linear"},
    ],
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


def test_exponential_and_multi_step_have_the_values_of_torch_stepped_once_an_epoch():
    torchs = rates_of_torch(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.8), 10, 0.3)
    factor = build("exponential", 70, 7, gamma=0.8)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx([rate for rate in torchs for _ in range(7)])
    torchs = rates_of_torch(lambda o: lr_scheduler.MultiStepLR(o, milestones=[2, 3, 7], gamma=0.2), 10, 0.3)
    factor = build("multi_step", 70, 7, milestones=(2, 3, 7), gamma=0.2)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx([rate for rate in torchs for _ in range(7)])


@pytest.mark.parametrize("epochs", [None, 4])
def test_linear_and_polynomial_have_the_values_of_torch_stepped_at_every_step(epochs):
    total = 70 if epochs is None else 7 * epochs
    make = lambda o: lr_scheduler.LinearLR(o, 0.25, 0.75, total_iters=total)  # noqa: E731
    factor = build("linear", 70, 7, start_factor=0.25, end_factor=0.75, epochs=epochs)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx(rates_of_torch(make, 70, 0.3))
    make = lambda o: lr_scheduler.PolynomialLR(o, total_iters=total, power=1.7)  # noqa: E731
    factor = build("polynomial", 70, 7, power=1.7, epochs=epochs)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx(rates_of_torch(make, 70, 0.3), abs=1e-12)


def test_constant_has_the_values_of_torch():
    torchs = rates_of_torch(lambda o: lr_scheduler.ConstantLR(o, factor=0.25, total_iters=14), 70, 0.3)
    factor = build("constant", 70, 7, factor=0.25, epochs=2)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx(torchs)


@pytest.mark.parametrize("mult", [1, 2, 3])
def test_cosine_warm_restarts_has_the_values_of_torch(mult):
    make = lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=14, T_mult=mult, eta_min=0.03)  # noqa: E731
    factor = build("cosine_warm_restarts", 200, 7, epochs=2, mult=mult, final_factor=0.1)
    assert [0.3 * factor(i) for i in range(200)] == pytest.approx(rates_of_torch(make, 200, 0.3))


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_has_the_values_of_torch(mode):
    make = lambda o: lr_scheduler.CyclicLR(  # noqa: E731
        o, base_lr=0.06, max_lr=0.3, step_size_up=14, step_size_down=21, mode=mode, gamma=0.99, cycle_momentum=False
    )
    factor = build("cyclic", 200, 7, base_factor=0.2, up=2.0, down=3.0, mode=mode, gamma=0.99)
    assert [0.3 * factor(i) for i in range(200)] == pytest.approx(rates_of_torch(make, 200, 0.3))


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 2])
def test_reduce_on_plateau_has_the_values_of_torch(lower, mode, cooldown):
    generator = torch.Generator().manual_seed(3)
    figures = (1.0 + 0.1 * torch.randn(60, generator=generator)).tolist()
    options = {"factor": 0.5, "patience": 3, "threshold": 0.01, "threshold_mode": mode, "cooldown": cooldown}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, "min" if lower else "max", min_lr=0.003, eps=0, **options)
    factor = build("reduce_on_plateau", 600, 10, min_factor=0.01, **options)
    torchs, ours = [], []
    for figure in figures:
        scheduler.step(figure)
        factor.update(figure, lower)
        torchs.append(optimizer.param_groups[0]["lr"])
        ours.append(0.3 * factor(0))
    assert ours == pytest.approx(torchs)
    assert min(ours) < 0.3


def test_sequential_has_the_values_of_torch_each_part_from_its_own_beginning():
    def make(o):
        warm = lr_scheduler.LinearLR(o, 0.1, 1.0, total_iters=14)
        cosine = lr_scheduler.CosineAnnealingLR(o, T_max=56)
        return lr_scheduler.SequentialLR(o, [warm, cosine], milestones=[14])

    parts = ({"linear": {"start_factor": 0.1, "end_factor": 1.0}}, "cosine")
    factor = build("sequential", 70, 7, schedules=parts, milestones=(2,))
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx(rates_of_torch(make, 70, 0.3), abs=1e-7)


def test_chained_has_the_values_of_torch():
    def make(o):
        return lr_scheduler.ChainedScheduler(
            [lr_scheduler.ConstantLR(o, 0.25, total_iters=14), lr_scheduler.PolynomialLR(o, total_iters=70, power=2)]
        )

    parts = ({"constant": {"factor": 0.25, "epochs": 2}}, {"polynomial": 2})
    factor = build("chained", 70, 7, schedules=parts)
    assert [0.3 * factor(i) for i in range(70)] == pytest.approx(rates_of_torch(make, 70, 0.3), abs=1e-9)


def test_every_scheduler_of_torch_that_takes_no_function_has_a_schedule():
    names = {
        "StepLR": "step",
        "MultiStepLR": "multi_step",
        "ConstantLR": "constant",
        "LinearLR": "linear",
        "ExponentialLR": "exponential",
        "SequentialLR": "sequential",
        "CosineAnnealingLR": "cosine",
        "ChainedScheduler": "chained",
        "PolynomialLR": "polynomial",
        "CyclicLR": "cyclic",
        "CosineAnnealingWarmRestarts": "cosine_warm_restarts",
        "OneCycleLR": "one_cycle",
        "ReduceLROnPlateau": "reduce_on_plateau",
    }
    assert set(names) == set(lr_scheduler.__all__) - {"LambdaLR", "MultiplicativeLR", "LRScheduler"}
    assert set(names.values()) <= set(registry.names("schedule"))


def test_constant_is_one_at_every_step():
    assert {build("constant", 50, 5)(i) for i in range(50)} == {1.0}


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("name", registry.names("schedule"))
def test_factors_stay_above_0_and_at_most_1_for_runs_of_any_length(name, steps):
    factor = build(name, steps, 1, **REQUIRED.get(name, {}))
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
        ("one_cycle", {"pct_start": 0.6, "three_phase": True}, "pct_start is 0.6; it must be between 0 and 0.5"),
        ("multi_step", {"milestones": (7, 3)}, r"milestones is \[7, 3\]; it must be epochs in rising order"),
        ("sequential", {"schedules": ("step",), "milestones": (3,)}, "milestones has 1 numbers for 1 schedules"),
        ("sequential", {"schedules": ("cosin", "step"), "milestones": (3,)}, "schedules.0: .*Did you mean 'cosine'"),
        ("chained", {"schedules": ({"step": {"evry": 3}},)}, "schedules.0: step has no option 'evry'. Did you mean"),
        ("chained", {"schedules": ("reduce_on_plateau",)}, "looks at the epochs' figures and cannot be a part"),
    ],
)
def test_an_impossible_option_is_named_with_its_bounds(name, options, words):
    with pytest.raises(SpecError, match=words):
        build(name, 100, 10, **options)
