"""Rows of any length on a rank: kept, padded, batched by length, lent; the weights are those of a plain loop."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from sparknn_magic.plugin import Part, TextInputs
from sparknn_magic.training.by_length import sort_within_windows
from sparknn_magic.training.cache import collect
from sparknn_magic.training.job import TRAIN, VALIDATION, Field, TrainRows
from sparknn_magic.training.loop import cuts
from sparknn_magic.training.ragged import Ragged
from sparknn_magic.training.rows import RankRows
from tests.training.ranks import fit, job

INPUTS = TextInputs(vocabulary=20, length=12)
SPEC = TrainRows(
    inputs=INPUTS,
    fields=(Field("tokens", "int32", (-1,), pad=0),),
    front=Part("sparknn_magic.training.network:Tokens", {"pad": 0}),
    target=Field("label", "int64"),
)
SEVERAL = TrainRows(SPEC.inputs, SPEC.fields, SPEC.front, Field("label", "float32", (3,)))


class Bag(nn.Module):
    """The mean of the tokens' vectors, and a linear layer."""

    def __init__(self, inputs: TextInputs, outputs: int):
        super().__init__()
        self.table, self.head = nn.Embedding(inputs.vocabulary, 8), nn.Linear(8, outputs)

    def forward(self, ids, mask):
        weights = mask.unsqueeze(2).float()
        return self.head((self.table(ids) * weights).sum(1) / weights.sum(1).clamp(min=1))


BAG = Part("tests.training.test_ragged:Bag", {})
SGD = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False})


def texts(count: int, seed: int = 0, split: int = TRAIN) -> tuple[pa.RecordBatch, list[np.ndarray], np.ndarray]:
    """Rows of 1 to 12 tokens; the class is told by the first token."""
    draw = np.random.default_rng(seed)
    tokens = [draw.integers(1, 20, draw.integers(1, 13)).astype(np.int32) for _ in range(count)]
    labels = np.array([int(row[0]) % 3 for row in tokens], np.int32)
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(np.full(count, split, np.int32)),
            pa.array(draw.permutation(count).astype(np.int64)),
            pa.array(labels),
            pa.array([row.tobytes() for row in tokens], pa.binary()),
        ],
        names=["split", "row", "label", "tokens"],
    )
    return batch, tokens, labels


@pytest.mark.parametrize("budget", [2**20, 0])
def test_rows_of_any_length_are_kept_in_memory_or_in_a_file_in_the_order_of_their_hash(budget):
    batch, tokens, labels = texts(40)
    parts = [batch.slice(n, 7) for n in range(0, 40, 7)]
    (found,) = collect(iter(parts), SPEC, (TRAIN,), budget)
    ragged = found.arrays["tokens"]
    assert isinstance(ragged, Ragged)
    assert isinstance(ragged.values, np.memmap) == (budget == 0)
    order = np.argsort(batch.column("row").to_numpy())
    assert [ragged.row(n).tolist() for n in range(40)] == [tokens[n].tolist() for n in order]
    assert found.arrays["label"].tolist() == labels[order].tolist()


def test_a_batch_is_as_wide_as_its_longest_row():
    batch, _, _ = texts(20)
    (found,) = collect(iter([batch]), SPEC, (TRAIN,), 2**20)
    rows = RankRows(found, SPEC, torch.device("cpu"))
    chosen = torch.tensor([3, 0, 11])
    taken = rows.take(chosen).inputs[0]
    whole = [found.arrays["tokens"].row(int(n)) for n in chosen]
    assert taken.shape == (3, max(len(row) for row in whole))
    for row, ids in zip(taken, whole, strict=True):
        assert row[: len(ids)].tolist() == ids.tolist()
        assert not row[len(ids) :].any()
    seen = torch.cat([torch.arange(20)[index] for index in rows.batches(6)])
    assert sorted(seen.tolist()) == list(range(20))


def test_a_null_among_the_prepared_rows_is_said():
    batch = texts(3)[0].set_column(3, "tokens", pa.array([None, b"", b""], pa.binary()))
    with pytest.raises(ValueError, match="prepare the data again"):
        collect(iter([batch]), SPEC, (TRAIN,), 2**20)


def test_an_epoch_has_every_row_once_in_batches_of_like_lengths_which_ranks_meet_together():
    draw = np.random.default_rng(0)
    lengths = [torch.from_numpy(draw.integers(1, 200, 1000)) for _ in range(2)]
    bounds = list(cuts(1000, 33))
    orders = [torch.from_numpy(draw.permutation(1000)) for _ in range(2)]
    found = [sort_within_windows(o, n, bounds, seed=5) for o, n in zip(orders, lengths, strict=True)]
    longest = []
    for order, each in zip(found, lengths, strict=True):
        assert sorted(order.tolist()) == list(range(1000))
        spread = [int(each[order[a:b]].max() - each[order[a:b]].min()) for a, b in bounds]
        assert max(spread) <= 20
        longest.append(np.array([int(each[order[a:b]].max()) for a, b in bounds]))
    assert np.abs(longest[0] - longest[1]).max() <= 20
    assert not (np.diff(longest[0]) >= 0).all()
    again = sort_within_windows(orders[0], lengths[0], bounds, seed=6)
    assert again.tolist() != found[0].tolist()


def test_the_weights_are_those_of_a_plain_loop_over_padded_rows(tmp_path):
    batch, tokens, labels = texts(60)
    done = fit(job(tmp_path, rows=SPEC, architecture=BAG, optimizer=SGD, batch_size=60, epochs=4), [batch])
    ids = torch.zeros(60, 12, dtype=torch.int64)
    for n, row in enumerate(tokens):
        ids[n, : len(row)] = torch.from_numpy(row)
    torch.manual_seed(0)
    network = Bag(INPUTS, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(ids, (ids != 0).long()), torch.from_numpy(labels).long()).backward()
        optimizer.step()
    for name, value in done.state().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_two_ranks_of_which_one_has_no_rows_take_the_step_of_one(tmp_path):
    batch, _, _ = texts(30)
    held = texts(10, seed=2, split=VALIDATION)[0]
    kind = {"rows": SPEC, "architecture": BAG, "optimizer": SGD, "batch_size": 30}
    one = fit(job(tmp_path / "1", **kind), [batch, held])
    two = fit(job(tmp_path / "2", **kind), [batch, held], [])
    for name, value in one.state().items():
        torch.testing.assert_close(two.state()[name], value, rtol=1e-4, atol=1e-5)
    assert two.history[-1]["validation_loss"] == pytest.approx(one.history[-1]["validation_loss"], rel=1e-4)


def test_several_labels_a_row_are_learnt_and_a_row_counts_where_all_are_right(tmp_path):
    batch, tokens, _ = texts(200)
    marks = np.stack([[7 in row, 3 in row, len(row) > 6] for row in tokens]).astype(np.float32)
    batch = batch.set_column(2, "label", pa.array([row.tobytes() for row in marks], pa.binary()))
    loss = Part("sparknn_zoo.losses.multilabel_cross_entropy:multilabel_cross_entropy", {})
    adam = Part("sparknn_zoo.optimizers.adamw:adamw", {"lr": 0.05})
    kind = {"rows": SEVERAL, "architecture": BAG, "loss": loss, "optimizer": adam, "batch_size": 20, "epochs": 30}
    done = fit(job(tmp_path, **kind), [batch])
    assert done.history[-1]["train_accuracy"] > 0.5 > done.history[0]["train_accuracy"]
    network = Bag(INPUTS, 3)
    network.load_state_dict(done.state())
    right = []
    for row, mark in zip(tokens, marks, strict=True):
        ids = torch.from_numpy(row).long()[None]
        right.append(bool((((network(ids, torch.ones_like(ids)) > 0)[0].float()) == torch.from_numpy(mark)).all()))
    # The figure of an epoch is of weights that still change.
    assert abs(np.mean(right) - done.history[-1]["train_accuracy"]) < 0.15
