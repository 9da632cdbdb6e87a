"""What a cell chooses under `train:`: averaging, accumulation, freezing, older weights, time limit, batch size."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import BundleError, SpecError
from sparknn_magic.plugin import DetectionInputs, Part
from sparknn_magic.spec import Experiment
from sparknn_magic.start import watched
from sparknn_magic.training import freezing, pretrained
from sparknn_magic.training.groups import parameter_groups
from sparknn_magic.training.job import AUTO, VALIDATION, Pretrained
from tests.training.networks import NORMED, TWO, mean_loss, plain_loop, tensors, two
from tests.training.ranks import INPUTS, fit, job, rows

SGD = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False})
MLP = Part("sparknn_zoo.vector.mlp:mlp", {"width": 16, "depth": 2})


def fresh(build=two):
    """Return the network with the weights that a job of seed 0 starts from."""
    torch.manual_seed(0)
    return build(INPUTS, 3)


def sgd(network):
    return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)


def assert_same(found, expected):
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


# Averaging


def test_the_exported_weights_are_the_running_mean_of_a_plain_loops(tmp_path):
    batch, validation = rows(60), rows(40, seed=1, split=VALIDATION)
    settings = {"architecture": TWO, "optimizer": SGD, "batch_size": 60, "epochs": 4, "ema": 0.3}
    done = fit(job(tmp_path, watch="epoch", **settings), [batch, validation])
    network = fresh()
    mean = {name: p.detach().clone() for name, p in network.named_parameters()}

    def average(step):
        decay = min(0.3, (2 + step) / (11 + step))
        for name, p in network.named_parameters():
            mean[name] = decay * mean[name] + (1 - decay) * p.detach()

    plain_loop(network, sgd(network), batch, 4, average)
    assert done.said["best_epoch"] == 4
    assert_same(done.state(), mean)
    network.load_state_dict(mean)
    assert done.history[-1]["validation_loss"] == pytest.approx(mean_loss(network, validation), rel=1e-4)


def test_the_mean_has_the_running_statistics_too(tmp_path):
    settings = {"architecture": NORMED, "batch_size": 60, "epochs": 6}
    plain = fit(job(tmp_path / "1", **settings), [rows(60)]).state()
    mean = fit(job(tmp_path / "2", ema=0.9, **settings), [rows(60)]).state()
    assert mean["norm.num_batches_tracked"] == 6
    assert 0 < abs(float(mean["norm.running_mean"])) < abs(float(plain["norm.running_mean"]))


# Accumulation


def test_batches_that_are_added_up_take_the_step_of_one_large_batch(tmp_path):
    settings = {"architecture": TWO, "optimizer": SGD, "epochs": 3}
    small = fit(job(tmp_path / "1", batch_size=13, accumulate=5, **settings), [rows(61)])
    large = fit(job(tmp_path / "2", batch_size=61, **settings), [rows(61)])
    assert_same(small.state(), large.state())
    assert small.history[0]["train_loss"] == pytest.approx(large.history[0]["train_loss"], rel=1e-5)


def test_two_uneven_ranks_accumulate_average_and_unfreeze_as_one_rank_does(tmp_path):
    batch = rows(60)
    settings = {"architecture": TWO, "optimizer": SGD, "epochs": 3, "ema": 0.5}
    settings |= {"freeze": ("stem",), "unfreeze_after": 1}
    one = fit(job(tmp_path / "1", batch_size=60, **settings), [batch])
    # 45 and 15 rows in three parts each: of the second rank's only the first has rows that count.
    two = fit(job(tmp_path / "2", batch_size=15, accumulate=3, **settings), [batch[:45]], [batch[45:]])
    assert_same(two.state(), one.state())
    assert [e["train_loss"] for e in two.history] == pytest.approx([e["train_loss"] for e in one.history], rel=1e-4)


# Freezing


def test_a_frozen_part_keeps_its_weights_and_the_rest_goes_where_a_plain_loop_goes(tmp_path):
    batch = rows(60)
    settings = {"architecture": TWO, "optimizer": SGD, "batch_size": 60, "epochs": 3}
    done = fit(job(tmp_path, freeze=("st*",), **settings), [batch])
    network = fresh()
    network.stem.requires_grad_(False)
    plain_loop(network, torch.optim.SGD(network.head.parameters(), lr=0.1, momentum=0.9), batch, 3)
    assert torch.equal(done.state()["stem.weight"], fresh().stem.weight)
    assert_same(done.state(), network.state_dict())


def test_frozen_running_statistics_stay_as_they_are(tmp_path):
    done = fit(job(tmp_path, architecture=NORMED, freeze=("norm",)), [rows(60)])
    assert float(done.state()["norm.running_mean"]) == 0
    assert float(done.state()["norm.running_var"]) == 1
    thawed = fit(job(tmp_path / "2", architecture=NORMED, freeze=("norm",), unfreeze_after=2), [rows(60)])
    assert float(thawed.state()["norm.running_mean"]) != 0


def test_a_parameter_can_be_frozen_by_its_own_name(tmp_path):
    done = fit(job(tmp_path, architecture=TWO, freeze=("*.bias",)), [rows(60)])
    assert torch.equal(done.state()["head.bias"], fresh().head.bias)
    assert not torch.equal(done.state()["head.weight"], fresh().head.weight)


def test_an_unknown_part_is_named_with_the_nearest():
    with pytest.raises(SpecError, match=r"no part named 'steem'. Did you mean 'stem'\?\nIts parts are flat, stem, act"):
        freezing.matching(fresh(), "steem")


def test_freezing_everything_is_an_error_unless_it_is_unfrozen_later():
    with pytest.raises(SpecError, match=r"train\.freeze leaves nothing to train"):
        freezing.check(fresh(), ("stem", "head"), unfrozen_later=False)
    freezing.check(fresh(), ("stem", "head"), unfrozen_later=True)
    freezing.check(fresh(), ("stem",), unfrozen_later=False)


# Older weights


@pytest.fixture
def older(tmp_path):
    """Weights of `two` in a file: all sevens."""
    file = tmp_path / "older.safetensors"
    save_file({name: torch.full_like(t, 7.0) for name, t in fresh().state_dict().items()}, file)
    return str(file)


def test_training_starts_from_the_older_weights_but_for_the_fresh_ones(tmp_path, older):
    still = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 1e-30, "momentum": 0.0, "nesterov": False})
    settings = {"architecture": TWO, "optimizer": still, "epochs": 1}
    whole = fit(job(tmp_path / "1", pretrained=Pretrained(older), **settings), [rows(20)]).state()
    assert all(bool((t == 7).all()) for t in whole.values())
    head = ("head.weight", "head.bias")
    part = fit(job(tmp_path / "2", pretrained=Pretrained(older, head), **settings), [rows(20)]).state()
    assert bool((part["stem.weight"] == 7).all())
    assert torch.equal(part["head.weight"], fresh().head.weight)


def test_the_last_layer_is_the_one_that_gives_the_outputs():
    assert pretrained.head_of(fresh(), 3) == ("head.weight", "head.bias")
    assert pretrained.head_of(fresh(), 4) == ()


def test_weights_of_the_same_classes_are_all_taken_and_of_others_all_but_the_last_layer():
    network, shapes = fresh(), {name: list(t.shape) for name, t in fresh().state_dict().items()}
    head = pretrained.head_of(network, 3)
    assert pretrained.fitting(network, shapes, head, True) == ()
    assert pretrained.fitting(network, shapes, head, False) == head
    ten = shapes | {"head.weight": [10, 8], "head.bias": [10]}
    assert pretrained.fitting(network, ten, head, False) == head


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stem.weight": [16, 144]}, "'stem.weight' is 16x144 there and 8x144 here"),
        ({"stem.weight": None}, "they have no 'stem.weight'"),
        ({"extra.weight": [3], "extra.bias": [3]}, r"this network, which has no 'extra.weight' \(and 1 more\)"),
    ],
)
def test_weights_of_another_architecture_are_refused(change, words):
    shapes = {name: list(t.shape) for name, t in fresh().state_dict().items()} | change
    shapes = {name: shape for name, shape in shapes.items() if shape is not None}
    with pytest.raises(BundleError, match=words):
        pretrained.fitting(fresh(), shapes, ("head.weight", "head.bias"), True)


# Time limit


def test_training_ends_after_the_step_at_which_the_limit_passes_and_keeps_the_weights(tmp_path):
    done = fit(job(tmp_path, time_limit=1e-6, epochs=5, batch_size=10), [rows(100), rows(30, seed=1, split=VALIDATION)])
    assert done.said["stopped"] == "time limit"
    assert len(done.history) == 1
    assert 0.5 < done.history[0]["train_loss"] < 3
    assert done.history[0]["validation_loss"] is not None
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert next(e for e in events if e["event"] == "start")["steps"] == 10
    assert {e["step"] for e in events if e["event"] == "step"} <= {1}


def test_two_ranks_end_at_the_same_step_of_a_time_limit(tmp_path):
    done = fit(job(tmp_path, time_limit=1e-6, epochs=5, batch_size=10), [rows(50)], [rows(30, seed=1)])
    assert done.said["stopped"] == "time limit"
    assert len(done.history) == 1


def test_a_limit_that_does_not_pass_changes_nothing(tmp_path):
    limited = fit(job(tmp_path / "1", time_limit=1000.0), [rows(100)])
    assert limited.said["stopped"] == ""
    assert limited.weights == fit(job(tmp_path / "2"), [rows(100)]).weights


# Batch size


def test_a_batch_size_that_is_found_is_recorded_and_trains_as_if_it_had_been_written(tmp_path):
    found = fit(job(tmp_path / "1", batch_size=AUTO), [rows(1300)])
    size = found.said["batch_size"]
    assert size in (16, 32, 64)  # at least 20 steps an epoch are left
    assert found.said["notes"] == [f"batch_size: auto is {size} rows a worker."]
    assert found.weights == fit(job(tmp_path / "2", batch_size=size), [rows(1300)]).weights


def test_few_rows_have_the_smallest_batch(tmp_path):
    assert fit(job(tmp_path, batch_size=AUTO), [rows(30)]).said["batch_size"] == 16


# What optimizers and schedules need of the loop


@pytest.mark.parametrize(
    "ref",
    ["lbfgs:lbfgs", "muon:muon", "lion:lion"]
    + [f"of_torch:{name}" for name in ("adafactor", "rprop", "nadam", "radam", "asgd", "adadelta", "rmsprop")],
)
def test_a_run_taken_up_from_its_checkpoint_ends_as_if_it_had_not_stopped(tmp_path, ref):
    data = [rows(60), rows(30, seed=1, split=VALIDATION)]
    plateau = Part("sparknn_zoo.schedules.reduce_on_plateau:reduce_on_plateau", {"patience": 0, "threshold": 0.3})
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3} if ref.startswith("lbfgs") else {}
    settings = {"optimizer": Part(f"sparknn_zoo.optimizers.{ref}", options), "schedule": plateau, "ema": 0.9}
    settings |= {
        "architecture": MLP,
        "epochs": 4,
        "freeze": ("*.bias",),
        "unfreeze_after": 2,
        "watch": "validation_loss",
    }
    settings |= {"lower": True}
    whole = fit(job(tmp_path / "whole", **settings), data)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "stop").touch()
    assert len(fit(job(tmp_path / "cut", **settings), data).history) == 1
    (tmp_path / "cut" / "stop").unlink()
    second = fit(job(tmp_path / "cut", **settings), data)
    assert second.said["resumed_from"] == 1
    assert second.weights == whole.weights
    assert [e["learning_rate"] for e in second.history] == [e["learning_rate"] for e in whole.history]


def test_lbfgs_steps_are_those_of_a_plain_loop_with_a_closure(tmp_path):
    batch = rows(60)
    options = {"line_search_fn": "strong_wolfe", "max_iter": 5}
    settings = {"architecture": TWO, "optimizer": Part("sparknn_zoo.optimizers.lbfgs:lbfgs", options)}
    done = fit(job(tmp_path, batch_size=60, epochs=3, **settings), [batch])
    network = fresh()
    optimizer = torch.optim.LBFGS(network.parameters(), **options)
    x, y = tensors(batch)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        return loss.detach()

    for _ in range(3):
        optimizer.step(closure)
    ours = fresh()
    ours.load_state_dict(done.state())
    assert mean_loss(ours, batch) < 0.5 * done.history[0]["train_loss"]
    assert mean_loss(ours, batch) == pytest.approx(mean_loss(network, batch), rel=0.02)


def test_two_ranks_of_lbfgs_take_the_steps_of_one(tmp_path):
    batch = rows(60)
    lbfgs = Part("sparknn_zoo.optimizers.lbfgs:lbfgs", {"max_iter": 3})
    settings = {"architecture": TWO, "optimizer": lbfgs, "batch_size": 60, "epochs": 2}
    one = fit(job(tmp_path / "1", **settings), [batch])
    two = fit(job(tmp_path / "2", **settings), [batch[:45]], [batch[45:]])
    assert [e["train_loss"] for e in two.history] == pytest.approx([e["train_loss"] for e in one.history], rel=1e-3)


def test_reduce_on_plateau_cuts_the_rate_when_the_watched_figure_stays(tmp_path):
    plateau = Part("sparknn_zoo.schedules.reduce_on_plateau:reduce_on_plateau", {"patience": 1, "threshold": 1.0})
    done = fit(job(tmp_path, schedule=plateau, epochs=6), [rows(60), rows(20, seed=1, split=VALIDATION)])
    rates = [e["learning_rate"] for e in done.history]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.001, 0.001, 0.0001])


def test_groups_mark_the_hidden_matrices_and_decay_no_vectors():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 16), nn.Linear(16, 3)
    )
    groups = parameter_groups(network)
    shapes = [[tuple(p.shape) for p in group["params"]] for group in groups]
    assert shapes[0] == [(8, 4, 3, 3), (16, 32)]
    assert shapes[1] == [(4, 1, 3, 3), (3, 16)]
    assert [group["hidden"] for group in groups] == [True, False, False]
    assert [group.get("weight_decay") for group in groups] == [None, None, 0.0]
    assert sum(len(s) for s in shapes) == len(list(network.parameters()))


@pytest.mark.parametrize(("name", "layers"), [("centernet", 2), ("fcos", 6)])
def test_groups_mark_no_layer_that_gives_outputs(name, layers):
    network = registry.get("architecture", name).build(DetectionInputs(3, 64, 64), 5, width=8, channels=8)
    outer = {id(p): name for name, p in network.named_parameters() if p.ndim == 4 and len(p) in (4, 5)}
    assert len(outer) == layers
    for group in parameter_groups(network):
        assert not group["hidden"] or not outer.keys() & {id(p) for p in group["params"]}


def test_groups_mark_what_has_sparse_gradients():
    network = nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.Linear(4, 3))
    found = {tuple(group["params"][0].shape): group["sparse"] for group in parameter_groups(network)}
    assert found == {(5, 4): True, (3, 4): False, (3,): False}


@pytest.mark.parametrize(
    ("task", "stopping", "figure"),
    [
        ("object-detection", "3", "validation_picture_ap50"),
        ("object-detection", "{metric: validation_loss}", "validation_loss"),
        ("image-classification", "{patience: 5}", "validation_accuracy"),
        ("text-classification", "3", "validation_loss"),
    ],
)
def test_early_stopping_watches_the_figure_that_chooses_the_epoch(task, stopping, figure):
    cell = f"task: {task}\nmodel: m\ndata: {{train: t}}\ntrain: {{early_stopping: {stopping}}}\n"
    assert watched(Experiment.parse(cell).train, registry.get("task", task).build()) == figure
