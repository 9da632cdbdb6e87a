"""Layers that read a sequence step by step: LSTM and GRU. B batch, T steps, F features, U units."""

from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Rate, Shape, sequence

# Torch's gates in ONNX's order: i f g o -> i o f g, and r z n -> z r n.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


class Recurrent(nn.Module):
    """A recurrent network, with all its outputs or the last one of each direction."""

    def __init__(self, network: nn.RNNBase, sequences: bool):
        super().__init__()
        self.network, self.sequences = network, sequences

    def forward(self, x_BTF: Tensor) -> Tensor:
        """float32[B, T, F] -> float32[B, T, U], or float32[B, U]; U twice as many where both directions are read."""
        onnx = torch.onnx.is_in_onnx_export() and hasattr(torch.onnx, "ops")  # not in torch before 2.8
        outputs_BTU = as_onnx(self.network, x_BTF) if onnx else self.network(x_BTF)[0]
        if self.sequences:
            return outputs_BTU
        if not self.network.bidirectional:
            return outputs_BTU[:, -1]
        forward_BTU, backward_BTU = outputs_BTU.chunk(2, 2)  # the second has read the sequence from its end
        return torch.cat((forward_BTU[:, -1], backward_BTU[:, 0]), 1)


def as_onnx(network: nn.RNNBase, x_BTF: Tensor) -> Tensor:
    """Return the outputs by ONNX's own operators, float32[B, T, U]: for the exporter, in evaluation mode.

    By itself the exporter finds the same operators, but only after it has followed every step: minutes for a sequence
    of some hundreds. They are LSTM and GRU of ONNX's specification, which has the gates in another order than torch.
    """
    order = GATES[network.mode]
    attributes: dict[str, Any] = {"hidden_size": network.hidden_size}
    if network.mode == "GRU":
        attributes["linear_before_reset"] = 1
    if network.bidirectional:
        attributes["direction"] = "bidirectional"

    def ordered(name: str) -> Tensor:
        gates = getattr(network, name).chunk(len(order))
        return torch.cat([gates[gate] for gate in order])

    x_TBF = x_BTF.transpose(0, 1)
    for level in range(network.num_layers):
        ends = [f"_l{level}", f"_l{level}_reverse"][: 1 + network.bidirectional]
        inputs = torch.stack([ordered(f"weight_ih{end}") for end in ends])
        states = torch.stack([ordered(f"weight_hh{end}") for end in ends])
        biases = torch.stack([torch.cat((ordered(f"bias_ih{end}"), ordered(f"bias_hh{end}"))) for end in ends])
        shape = (x_TBF.shape[0], len(ends), x_TBF.shape[1], network.hidden_size)
        outputs_TDBU = torch.onnx.ops.symbolic(
            network.mode, (x_TBF, inputs, states, biases), attributes, dtype=x_TBF.dtype, shape=shape
        )
        x_TBF = outputs_TDBU.transpose(1, 2).flatten(2)
    return x_TBF.transpose(0, 1)


def _check_dropout(name: str, layers: int, dropout: float) -> None:
    if dropout and layers == 1:
        raise SpecError(f"{name}: dropout is between its layers, and there is one; write a `dropout` after it.")


@layer("lstm", main="units", source="Hochreiter and Schmidhuber 1997, Neural Computation 9(8)")
def lstm(
    shape: Shape,
    *,
    units: PositiveInt,
    return_sequences: bool = False,
    bidirectional: bool = False,
    layers: PositiveInt = 1,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Long short-term memory: [steps, features] -> [units], or [steps, units]; twice the units in both directions.

    units: numbers that it keeps from step to step.
    return_sequences: whether it gives the output of every step, for another recurrent layer, or of the last alone.
    bidirectional: whether a second one reads from the end.
    layers: how many, each on the outputs of the one before.
    dropout: share of the numbers dropped in training between these.
    Two biases a gate, as torch and cuDNN have them: 4 x units more parameters a layer than Keras counts.
    """
    _, features = sequence(shape)
    _check_dropout("lstm", layers, dropout)
    network = nn.LSTM(features, units, layers, batch_first=True, dropout=dropout, bidirectional=bidirectional)
    return Recurrent(network, return_sequences)


@layer("gru", main="units", source="Cho et al. 2014, arXiv:1406.1078")
def gru(
    shape: Shape,
    *,
    units: PositiveInt,
    return_sequences: bool = False,
    bidirectional: bool = False,
    layers: PositiveInt = 1,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Gated recurrent unit: [steps, features] -> [units], or [steps, units]; twice the units in both directions.

    units: numbers that it keeps from step to step.
    return_sequences: whether it gives the output of every step, for another recurrent layer, or of the last alone.
    bidirectional: whether a second one reads from the end.
    layers: how many, each on the outputs of the one before.
    dropout: share of the numbers dropped in training between these.
    The reset gate acts after the multiplication, as in torch, cuDNN and Keras.
    """
    _, features = sequence(shape)
    _check_dropout("gru", layers, dropout)
    network = nn.GRU(features, units, layers, batch_first=True, dropout=dropout, bidirectional=bidirectional)
    return Recurrent(network, return_sequences)
