"""Every optimizer against torch's own, or against the paper's pseudo-code in numpy."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.spec.models import read_step
from sparknn_magic.spec.schema import options_model, validate_options

# Beside each plugin torch's class, and options that are not its defaults.
TORCHS = {
    "adam": (torch.optim.Adam, {"lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.1, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.02, "betas": (0.8, 0.99), "weight_decay": 0.1, "amsgrad": True}),
    "adamax": (torch.optim.Adamax, {"lr": 0.02, "eps": 1e-6, "weight_decay": 0.1}),
    "nadam": (torch.optim.NAdam, {"lr": 0.02, "momentum_decay": 0.01, "decoupled_weight_decay": True}),
    "radam": (torch.optim.RAdam, {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    "adadelta": (torch.optim.Adadelta, {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.02, "alpha": 0.9, "momentum": 0.5, "centered": True}),
    "rprop": (torch.optim.Rprop, {"lr": 0.02, "etas": (0.4, 1.3), "step_sizes": (1e-5, 1.0)}),
    "asgd": (torch.optim.ASGD, {"lr": 0.02, "lambd": 1e-3, "alpha": 0.5, "t0": 3.0}),
    "adafactor": (torch.optim.Adafactor, {"lr": 0.02, "d": 2.0, "weight_decay": 0.1, "eps": (None, 0.01)}),
    "sgd": (torch.optim.SGD, {"lr": 0.02, "momentum": 0.5, "dampening": 0.1, "nesterov": False, "weight_decay": 0.1}),
}
OURS = ("adamw", "sgd")  # whose defaults are chosen here, and are not torch's
START = torch.tensor([[1.0, -0.5, 0.25], [0.7, 2.0, -1.5]], dtype=torch.float64)


def build(name, parameters, **options):
    return registry.get("optimizer", name).build(parameters, **options)


def walk(make, start=START, steps=6):
    """Return where an optimizer leads on the bowl sum(w^4)."""
    w = start.clone().requires_grad_()
    stepper = make([w])
    for _ in range(steps):
        stepper.zero_grad()
        (w**4).sum().backward()
        stepper.step()
    return w.detach().numpy()


def schema(name, **written):
    """Return the options that a cell's words become, as `Experiment` checks them."""
    item = registry.get("optimizer", name)

    def error(path, message, *, hint=None, key=False):
        return SpecError(message, hint=hint)

    return validate_options(item, read_step({name: written}), error, ("train", "optimizer"))


@pytest.mark.parametrize("name", TORCHS)
def test_an_optimizer_goes_where_torchs_own_goes(name):
    kind, options = TORCHS[name]
    assert walk(lambda p: build(name, p, **options)) == pytest.approx(walk(lambda p: kind(p, **options)), rel=1e-9)


@pytest.mark.parametrize("name", sorted(set(TORCHS) - set(OURS)))
def test_names_and_defaults_of_the_options_are_torchs(name):
    torchs = inspect.signature(TORCHS[name][0]).parameters
    ours = {p.name: p.default for p in inspect.signature(registry.get("optimizer", name).build).parameters.values()}
    del ours["parameters"]
    hidden = {"params", "foreach", "fused", "capturable", "differentiable", "maximize"}
    assert ours == {n: p.default for n, p in torchs.items() if n not in hidden}
    assert schema(name) == ours


@pytest.mark.parametrize("kind", [k for k in vars(torch.optim).values() if inspect.isclass(k)])
def test_every_optimizer_of_torch_has_a_plugin_of_its_name(kind):
    name = {"SparseAdam": "sparse_adam"}.get(kind.__name__, kind.__name__.lower())
    assert kind is torch.optim.Optimizer or name in registry.names("optimizer")


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_a_parameter_group_keeps_its_own_settings(name):
    if "weight_decay" not in inspect.signature(registry.get("optimizer", name).build).parameters:
        pytest.skip("it has no weight decay")
    groups = [{"params": [torch.zeros(2, 2, requires_grad=True)]}]
    groups += [{"params": [torch.zeros(2, requires_grad=True)], "weight_decay": 0.0}]
    first, second = build(name, groups, lr=0.5, weight_decay=0.25).param_groups
    assert (first["lr"], first["weight_decay"]) == (0.5, 0.25)
    assert second["weight_decay"] == 0.0


@pytest.mark.parametrize("name", [n for n in registry.names("optimizer") if n != "sparse_adam"])
def test_an_optimizer_fits_a_line_through_points(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    rates = {"adadelta": 10.0, "lion": 0.02, "asgd": 0.1, "adagrad": 0.5, "muon": 0.02, "lbfgs": 1.0}
    stepper = build(name, list(network.parameters()), lr=rates.get(name, 0.05))
    for group in stepper.param_groups:
        group["weight_decay"] = 0.0
        if not group.get("muon", True):
            group["lr"] = 0.05

    def closure():
        stepper.zero_grad()
        loss = nn.functional.mse_loss(network(x), y)
        loss.backward()
        return loss.detach()

    first = float(closure())
    for _ in range(150):
        last = float(stepper.step(closure))
    assert last < 0.05 * first


def test_lion_goes_where_the_papers_algorithm_says():
    w, m = START.numpy().copy(), np.zeros(START.shape)
    for _ in range(6):  # Chen et al. 2023, algorithm 2
        g = 4 * w**3
        c = 0.8 * m + 0.2 * g
        w = w - 0.01 * (np.sign(c) + 0.3 * w)
        m = 0.95 * m + 0.05 * g
    ours = walk(lambda p: build("lion", p, lr=0.01, betas=(0.8, 0.95), weight_decay=0.3))
    assert ours == pytest.approx(w, rel=1e-9)


def newton_schulz(g, steps):
    """Jordan et al. 2024, the first listing; numpy, in double precision."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (np.linalg.norm(g) + 1e-7)
    if g.shape[0] > g.shape[1]:
        x = x.T
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if g.shape[0] > g.shape[1] else x


@pytest.mark.parametrize("shape", [(2, 3), (5, 3), (4, 4)])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muon_goes_where_its_authors_listing_says(shape, nesterov, adjust):
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    w, m = start.numpy().copy(), np.zeros(shape)
    scale = max(1, shape[0] / shape[1]) ** 0.5 if adjust == "original" else 0.2 * max(shape) ** 0.5
    for _ in range(6):
        g = 4 * w**3
        m = 0.9 * m + 0.1 * g
        update = newton_schulz(0.1 * g + 0.9 * m if nesterov else m, 5)
        w = w - 0.02 * 0.1 * w
        w = w - 0.02 * scale * update
    options = {"lr": 0.02, "momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.1, "adjust_lr_fn": adjust}
    assert walk(lambda p: build("muon", p, **options), start) == pytest.approx(w, rel=1e-7)


def test_muon_makes_a_step_whose_singular_values_are_about_one():
    start = torch.randn(20, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = walk(lambda p: build("muon", p, lr=1.0), start, steps=1) - start.numpy()
    values = np.linalg.svd(step, compute_uv=False)
    assert values.min() > 0.5
    assert values.max() < 1.3


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has it since 2.9")
def test_muon_goes_where_torchs_own_goes_which_computes_in_bfloat16():
    start = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    torchs = walk(lambda p: torch.optim.Muon(p, lr=0.02, momentum=0.9, weight_decay=0.1), start)
    ours = walk(lambda p: build("muon", p, lr=0.02, momentum=0.9, weight_decay=0.1), start)
    assert ours == pytest.approx(torchs, abs=0.02 * 6 * 0.02)


def test_muon_takes_a_kernel_as_a_matrix_with_a_row_for_each_filter():
    start = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    flat = walk(lambda p: build("muon", p, lr=0.02), start.reshape(4, 18))
    assert walk(lambda p: build("muon", p, lr=0.02), start).reshape(4, 18) == pytest.approx(flat)


def test_muon_leaves_vectors_and_the_outer_layers_to_adamw():
    start = START.numpy()
    ours = walk(lambda p: build("muon", [{"params": p, "hidden": False}], adamw_lr=0.01, eps=1e-8))
    assert ours == pytest.approx(walk(lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.95), weight_decay=0)))
    vector = torch.tensor(start[0])
    ours = walk(lambda p: build("muon", p, adamw_lr=0.01, eps=1e-8), vector)
    torchs = walk(lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.95), weight_decay=0), vector)
    assert ours == pytest.approx(torchs)


def test_lbfgs_finds_the_minimum_of_a_quadratic_in_one_step_of_the_training():
    target = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64)
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    stepper = build("lbfgs", [{"params": [w], "weight_decay": 0.0}], line_search_fn="strong_wolfe", max_iter=50)

    def closure():
        stepper.zero_grad()
        loss = (scale * (w - target) ** 2).sum()
        loss.backward()
        return loss.detach()

    stepper.step(closure)
    assert stepper.needs_closure
    assert w.detach().numpy() == pytest.approx(target.numpy(), abs=1e-4)


def test_sparse_adam_changes_only_the_rows_that_a_batch_has():
    table = nn.Embedding(5, 2, sparse=True)
    before = table.weight.detach().clone()
    stepper = build("sparse_adam", [{"params": [table.weight], "sparse": True}])
    table(torch.tensor([1, 3])).sum().backward()
    stepper.step()
    assert sorted((table.weight.detach() != before).any(1).nonzero().flatten().tolist()) == [1, 3]


def test_sparse_adam_refuses_a_network_with_dense_gradients():
    with pytest.raises(SpecError, match=r"sparse_adam takes sparse gradients alone.*\n.*Use adam"):
        build("sparse_adam", [{"params": [torch.zeros(2, requires_grad=True)], "sparse": False}])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adam", {"lr": 0}, "train.optimizer.adam.lr must be greater than 0, not 0"),
        ("rmsprop", {"alpha": 1}, "train.optimizer.rmsprop.alpha must be .*less than 1, not 1"),
        ("adam", {"beta": [0.9, 0.99]}, "adam has no option 'beta'. Did you mean 'betas'"),
        ("adam", {"fused": True}, "adam has no option 'fused'"),
        ("muon", {"adjust_lr_fn": "match_rms"}, "Did you mean 'match_rms_adamw'"),
        ("lbfgs", {"line_search_fn": "wolfe"}, "Did you mean 'strong_wolfe'"),
        ("lion", {"lr": "fast"}, "lr must be a number greater than 0, not 'fast'"),
    ],
)
def test_a_wrong_option_is_told_by_its_place(name, options, words):
    with pytest.raises(SpecError, match=words):
        schema(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adamw", {"lr": 0}, "adamw: lr is 0; it must be above 0"),
        ("adamw", {"weight_decay": -1}, "weight_decay is -1; it must be at least 0"),
        ("adamw", {"betas": (0.9, 1.0)}, "betas is 1.0; it must be at least 0 and below 1"),
        ("sgd", {"lr": float("nan")}, "sgd: lr is nan; it must be above 0"),
        ("sgd", {"momentum": 1.5}, "momentum is 1.5; it must be between 0 and 1"),
        ("sgd", {"dampening": 0.5}, "dampening is 0.5; it must be 0 with nesterov"),
    ],
)
def test_an_impossible_option_is_named_with_its_bounds(name, options, words):
    with pytest.raises(SpecError, match=words):
        build(name, [torch.zeros(1, requires_grad=True)], **options)


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_option_says_what_it_is(name):
    fields = options_model(registry.get("optimizer", name)).model_fields
    assert all(field.description for field in fields.values()), name
