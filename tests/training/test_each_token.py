"""A target for each token: the loss of a row is the mean over its tokens that count, whatever it is padded to."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from sparknn_magic.plugin import Part, TextInputs
from sparknn_magic.training.job import TRAIN, VALIDATION, Field, TrainRows
from sparknn_magic.training.tokens import of_each_token
from tests.training.ranks import fit, job

INPUTS = TextInputs(vocabulary=20, length=12, each_token=True)
SPEC = TrainRows(
    inputs=INPUTS,
    fields=(Field("tokens", "int32", (-1,), pad=0),),
    front=Part("sparknn_magic.training.network:Tokens", {"pad": 0}),
    target=Field("label", "int32", (-1,), pad=-100),
)
SGD = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False})


class EachToken(nn.Module):
    """A vector of each token, and a linear layer."""

    def __init__(self, inputs: TextInputs, outputs: int):
        super().__init__()
        self.table, self.head = nn.Embedding(inputs.vocabulary, 8), nn.Linear(8, outputs)

    def forward(self, ids, mask):
        return self.head(self.table(ids))


NETWORK = Part("tests.training.test_each_token:EachToken", {})


def rows(count: int, seed: int = 0, split: int = TRAIN):
    """Rows of 2 to 12 tokens; the tag is told by the token; the first one has none."""
    draw = np.random.default_rng(seed)
    tokens = [draw.integers(1, 20, draw.integers(2, 13)).astype(np.int32) for _ in range(count)]
    tags = [np.where(np.arange(len(row)) == 0, -100, row % 3).astype(np.int32) for row in tokens]
    columns = {
        "split": pa.array(np.full(count, split, np.int32)),
        "row": pa.array(draw.permutation(count).astype(np.int64)),
        "label": pa.array([row.tobytes() for row in tags], pa.binary()),
        "tokens": pa.array([row.tobytes() for row in tokens], pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns), tokens, tags


def test_a_row_has_the_mean_over_its_tokens_that_count():
    outputs, target = (
        torch.randn(3, 5, 4),
        torch.tensor([[0, 1, -100, -100, 2], [3, -100, -100, -100, -100], [-100] * 5]),
    )
    loss = of_each_token(lambda x, y: nn.functional.cross_entropy(x, y, reduction="none"), -100)
    found = loss(outputs, target.int())
    for n in range(2):
        expected = nn.functional.cross_entropy(outputs[n], target[n], ignore_index=-100)
        torch.testing.assert_close(found[n], expected)
    assert found[2] == 0


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "hinge"])
def test_every_loss_of_classes_can_be_that_of_tokens(name):
    built = Part(f"sparknn_zoo.losses.{name}:{name}", {}).build()
    loss = of_each_token(built, -100)
    outputs = torch.randn(4, 6, 3, requires_grad=True)
    target = torch.randint(0, 3, (4, 6))
    target[:, 0] = -100
    found = loss(outputs, target)
    torch.testing.assert_close(
        found, torch.stack([built(o[1:], t[1:]).mean() for o, t in zip(outputs, target, strict=True)])
    )
    found.sum().backward()
    assert not outputs.grad[:, 0].any()
    assert loss(outputs, torch.full((4, 6), -100)).tolist() == [0.0] * 4


def test_the_weights_are_those_of_a_plain_loop(tmp_path):
    batch, tokens, tags = rows(40)
    done = fit(job(tmp_path, rows=SPEC, architecture=NETWORK, optimizer=SGD, batch_size=40, epochs=3), [batch])
    torch.manual_seed(0)
    network = EachToken(INPUTS, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        losses = [
            nn.functional.cross_entropy(network(torch.from_numpy(i)[None].long(), None)[0], torch.from_numpy(t).long())
            for i, t in zip(tokens, tags, strict=True)
        ]
        torch.stack(losses).mean().backward()
        optimizer.step()
    for name, value in done.state().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_the_figure_is_the_share_of_right_tokens_and_ranks_without_rows_take_part(tmp_path):
    batch, _, _ = rows(200)
    held = rows(30, seed=2, split=VALIDATION)[0]
    adam = Part("sparknn_zoo.optimizers.adamw:adamw", {"lr": 0.05})
    kind = {"rows": SPEC, "architecture": NETWORK, "optimizer": adam, "batch_size": 20, "figure": "token_accuracy"}
    one = fit(job(tmp_path / "1", epochs=8, watch="validation_token_accuracy", **kind), [batch, held])
    assert one.history[-1]["validation_token_accuracy"] == 1.0
    assert 0 < one.history[0]["train_token_accuracy"] < 0.9
    two = fit(job(tmp_path / "2", epochs=1, **kind), [batch, held], [])
    alone = fit(job(tmp_path / "3", epochs=1, **kind), [batch, held])
    assert two.history[0]["validation_loss"] == pytest.approx(alone.history[0]["validation_loss"], rel=1e-4)
