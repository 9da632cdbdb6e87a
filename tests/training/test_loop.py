"""The loop of one rank and of several, without Spark, against plain PyTorch."""

import json
import math
import socket
import threading
import time
import weakref

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sparknn_magic.errors import TrainError
from sparknn_magic.plugin import ImageInputs, Part
from sparknn_magic.training import checkpoint
from sparknn_magic.training.events import EventFile, EventServer, Reporter
from sparknn_magic.training.job import VALIDATION
from sparknn_magic.training.loop import cuts
from sparknn_magic.training.steps import Stepper
from tests.training.ranks import INPUTS, fit, job, rows


def linear(inputs: ImageInputs, outputs: int) -> nn.Module:
    """A network without normalization: the gradient of a batch is the mean of its rows' gradients."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs.channels * inputs.height * inputs.width, outputs))


def explode(inputs: ImageInputs, outputs: int, *, at: int) -> nn.Module:
    """Fail in the forward pass number `at`."""

    class Explode(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.calls = linear(inputs, outputs), 0

        def forward(self, x):
            self.calls += 1
            if self.calls == at:
                raise ValueError("this layer does not like Mondays")
            return self.inner(x)

    return Explode()


HERE = "tests.training.test_loop"
LINEAR = Part(f"{HERE}:linear", {})
SGD = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False})


def test_one_rank_learns_and_reports_every_epoch(tmp_path):
    done = fit(job(tmp_path), [rows(200), rows(50, seed=1, split=VALIDATION)])
    assert [e["epoch"] for e in done.history] == [1, 2, 3]
    assert done.history[-1]["validation_accuracy"] > 0.9
    assert done.history[-1]["train_loss"] < done.history[0]["train_loss"]
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2, 3]


def test_the_weights_are_those_of_a_plain_pytorch_loop(tmp_path):
    batch = rows(60)
    done = fit(job(tmp_path, architecture=LINEAR, optimizer=SGD, batch_size=60, epochs=4), [batch])
    images = np.stack([np.frombuffer(b, np.uint8).reshape(12, 12, 1) for b in batch.column("image").to_pylist()])
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.3
    y = torch.from_numpy(batch.column("label").to_numpy().astype(np.int64))
    torch.manual_seed(0)
    network = linear(INPUTS, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    for name, value in done.state().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_two_uneven_ranks_take_the_step_of_one(tmp_path):
    batch = rows(60)
    one = fit(job(tmp_path / "1", architecture=LINEAR, optimizer=SGD, batch_size=60), [batch])
    # One full batch a rank, 45 and 15 rows: the mean over all 60 rows, not the mean of two means.
    two = fit(job(tmp_path / "2", architecture=LINEAR, optimizer=SGD, batch_size=60), [batch[:45]], [batch[45:]])
    for name, value in two.state().items():
        torch.testing.assert_close(value, one.state()[name], rtol=1e-4, atol=1e-5)
    assert two.history[0]["train_loss"] == pytest.approx(one.history[0]["train_loss"], rel=1e-5)


def test_a_rank_without_rows_takes_part_and_changes_nothing(tmp_path):
    batch, validation = rows(40), rows(20, seed=1, split=VALIDATION)
    one = fit(job(tmp_path / "1", architecture=LINEAR, optimizer=SGD, batch_size=40), [batch, validation])
    two = fit(job(tmp_path / "2", architecture=LINEAR, optimizer=SGD, batch_size=40), [batch], [validation])
    for name, value in two.state().items():
        torch.testing.assert_close(value, one.state()[name], rtol=1e-4, atol=1e-5)
    assert two.history[-1]["validation_loss"] == pytest.approx(one.history[-1]["validation_loss"], rel=1e-4)


def test_same_seed_and_workers_give_the_same_weights_in_any_order_of_rows(tmp_path):
    flip = Part("sparknn_zoo.augment.flip:random_horizontal_flip", {})
    batch = rows(90)
    shuffled = batch.take(pa.array(np.random.default_rng(5).permutation(90)))
    first = fit(job(tmp_path / "1", augment=(flip,)), [batch])
    again = fit(job(tmp_path / "2", augment=(flip,)), [shuffled])
    other = fit(job(tmp_path / "3", augment=(flip,), seed=1), [batch])
    assert first.weights == again.weights
    assert first.weights != other.weights


def test_a_run_taken_up_from_its_checkpoint_ends_as_if_it_had_not_stopped(tmp_path):
    data = [rows(100), rows(30, seed=1, split=VALIDATION)]
    whole = fit(job(tmp_path / "whole", epochs=4), data)
    stopped = job(tmp_path / "cut", epochs=4)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "stop").touch()
    first = fit(stopped, data)
    assert first.said["stopped"] == "stop request"
    assert len(first.history) == 1
    assert first.said["notes"] == ["stopped after epoch 1 of 4, as asked; the weights are those of epoch 1."]
    (tmp_path / "cut" / "stop").unlink()
    second = fit(stopped, data)
    assert second.said["resumed_from"] == 1
    assert len(second.history) == 4
    assert second.weights == whole.weights


@pytest.mark.parametrize("early", [True, False])
def test_a_stop_reaches_the_rank_even_where_it_connects_later(tmp_path, early):
    events = EventServer("127.0.0.1")
    try:
        if early:
            events.stop()
        reporter = Reporter(job(tmp_path, channel=events.channel))
        if not early:
            assert not reporter.stop_requested()
            events.stop()
        deadline = time.monotonic() + 10
        while not (heard := reporter.stop_requested()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert heard
        reporter.close()
    finally:
        events.close()


def test_closing_waits_for_nobody_to_answer():
    events = EventServer("127.0.0.1")
    listening = next(t for t in threading.enumerate() if getattr(t, "_target", None) == events._accept)
    events.closing = True
    socket.create_connection(events.listener.address).close()
    listening.join(10)
    assert not listening.is_alive()
    closing = threading.Thread(target=events.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()


def test_a_stop_reaches_the_rank_through_the_run_folder_even_before_there_is_one(tmp_path):
    events = EventFile(str(tmp_path / "run"), "a")
    events.stop()
    reporter = Reporter(job(tmp_path / "run"))
    assert reporter.stop_requested()
    events.close()
    assert not reporter.stop_requested()
    reporter.close()


def test_a_checkpoint_of_another_experiment_is_left_alone(tmp_path):
    fit(job(tmp_path), [rows(50)])
    done = fit(job(tmp_path, fingerprint="another"), [rows(50)])
    assert done.said["resumed_from"] == 0


def test_a_half_written_checkpoint_is_never_read(tmp_path):
    checkpoint.save(str(tmp_path), {"epoch": 1}, {"body": {"w": torch.ones(3)}})
    (tmp_path / "checkpoint.safetensors.99.partial").write_bytes(b"half")
    state, tensors = checkpoint.load(str(tmp_path))
    assert state == {"epoch": 1}
    assert tensors["body"]["w"].tolist() == [1, 1, 1]


def test_of_epochs_with_the_same_accuracy_the_one_with_the_least_loss_is_kept(tmp_path):
    done = fit(job(tmp_path, epochs=8), [rows(200), rows(20, seed=1, split=VALIDATION)])
    best = max(epoch["validation_accuracy"] for epoch in done.history)
    equal = [epoch for epoch in done.history if epoch["validation_accuracy"] == best]
    assert len(equal) > 2
    assert done.said["best_epoch"] == min(equal, key=lambda epoch: epoch["validation_loss"])["epoch"]
    assert done.said["best_epoch"] > equal[0]["epoch"]


def test_early_stopping_ends_the_run_and_keeps_the_best_epoch(tmp_path):
    # The validation labels are shuffled: nothing learnt helps there, and the loss soon gets worse.
    noise = rows(60, seed=3, split=VALIDATION)
    wrong = noise.set_column(2, "label", pa.array((noise.column("label").to_numpy() + 1) % 3, pa.int32()))
    done = fit(job(tmp_path, epochs=30, patience=2, watch="validation_loss", lower=True), [rows(200), wrong])
    losses = [e["validation_loss"] for e in done.history]
    assert done.said["stopped"] == "early stopping"
    assert len(losses) < 30
    assert done.said["best_epoch"] == 1 + int(np.argmin(losses))
    assert len(losses) == done.said["best_epoch"] + 2


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_batch(tmp_path):
    wild = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 1e30, "momentum": 0.0, "nesterov": False})
    with pytest.raises(
        TrainError, match=r"rank 0 of 1, epoch \d, step \d+: the loss is (nan|inf) in a batch of \d+ rows"
    ):
        fit(job(tmp_path, architecture=LINEAR, optimizer=wild, epochs=5), [rows(80)])


def test_an_exception_arrives_with_type_message_rank_and_step(tmp_path):
    part = Part(f"{HERE}:explode", {"at": 3})
    with pytest.raises(TrainError) as caught:
        fit(job(tmp_path, architecture=part, epochs=1), [rows(32)], [rows(96, seed=1)])
    said = str(caught.value)
    assert "of 2, epoch 1, step 3: ValueError: this layer does not like Mondays" in said
    assert len(said.splitlines()) <= 10
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert any(e["event"] == "failed" and "Mondays" in e["message"] for e in events)


def test_warm_up_and_schedule_multiply(tmp_path):
    done = fit(job(tmp_path, warmup=2.0, epochs=3), [rows(64)])
    rates = [e["learning_rate"] for e in done.history]
    assert rates == pytest.approx([0.005, 0.01, 0.01])


def test_gradient_clipping_bounds_the_step(tmp_path):
    plain = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False})
    settings = {"architecture": LINEAR, "optimizer": plain, "epochs": 1, "batch_size": 64}
    torch.manual_seed(0)
    start = {f"{k}": v.clone() for k, v in linear(INPUTS, 3).state_dict().items()}
    done = fit(job(tmp_path, clip_norm=0.01, **settings), [rows(64)])
    moved = math.sqrt(sum(float(((v - start[k]) ** 2).sum()) for k, v in done.state().items()))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_bfloat16_trains(tmp_path):
    done = fit(job(tmp_path, precision="bfloat16"), [rows(200), rows(50, seed=1, split=VALIDATION)])
    assert done.said["precision"] == "bfloat16"
    assert done.history[-1]["validation_accuracy"] > 0.9


def test_rows_above_the_budget_live_in_a_file_and_train_alike(tmp_path):
    data = [rows(100), rows(100, seed=1), rows(30, seed=2, split=VALIDATION)]
    assert fit(job(tmp_path / "1", cache_bytes=1000), data).weights == fit(job(tmp_path / "2"), data).weights


def test_batches_of_an_epoch_differ_by_one_row_at_most_and_cover_all():
    for count, steps in ((10, 3), (1, 1), (250, 7), (8958, 70)):
        found = list(cuts(count, steps))
        sizes = [end - begin for begin, end in found]
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1
        assert [begin for begin, _ in found[1:]] == [end for _, end in found[:-1]]


def test_a_rank_that_leaves_holds_no_process_group(tmp_path):
    # Freed last by DistributedDataParallel's C++ half, a process group can wait for ever for Python's lock.
    store = dist.TCPStore("127.0.0.1", 0, 1, is_master=True, wait_for_workers=False)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        stepper = Stepper(job(tmp_path), torch.device("cpu"), world=2)
        wrapped = weakref.ref(stepper.model)
        assert isinstance(wrapped(), DistributedDataParallel)
        stepper.leave()
        assert wrapped() is None
    finally:
        dist.destroy_process_group()
