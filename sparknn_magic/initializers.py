"""How the weights of a list of layers are drawn before training: the names that `init:` takes. Needs torch.

They act on the weights of linear layers, convolutions, embeddings and recurrent layers, of the last gate by gate; the
biases of these are set to 0. Normalization, positions and anything else keep what their layer gives them.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from sparknn_magic.plugin import Item, Part

Gain = Annotated[float, Field(gt=0)]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BIASED = (nn.Linear, nn.RNNBase, *CONVOLUTIONS, *TRANSPOSED)


def he_normal(weight: Tensor) -> None:
    """Normal of variance 2 / fan_in, for ReLU. Source: He et al. 2015, arXiv:1502.01852."""
    nn.init.kaiming_normal_(weight)


def he_uniform(weight: Tensor) -> None:
    """Uniform of variance 2 / fan_in, for ReLU. Source: He et al. 2015, arXiv:1502.01852."""
    nn.init.kaiming_uniform_(weight)


def glorot_normal(weight: Tensor, *, gain: Gain = 1.0) -> None:
    """Normal of variance 2 / (fan_in + fan_out). Source: Glorot and Bengio 2010, eq. 12.

    gain: factor on the deviation.
    """
    nn.init.xavier_normal_(weight, gain)


def glorot_uniform(weight: Tensor, *, gain: Gain = 1.0) -> None:
    """Uniform of variance 2 / (fan_in + fan_out). Source: Glorot and Bengio 2010, eq. 16.

    gain: factor on the deviation.
    """
    nn.init.xavier_uniform_(weight, gain)


def lecun_normal(weight: Tensor) -> None:
    """Normal of variance 1 / fan_in, for SELU and tanh. Source: LeCun et al. 1998, Efficient BackProp, sec. 4.6."""
    nn.init.kaiming_normal_(weight, nonlinearity="linear")


def lecun_uniform(weight: Tensor) -> None:
    """Uniform of variance 1 / fan_in. Source: LeCun et al. 1998, Efficient BackProp, sec. 4.6."""
    nn.init.kaiming_uniform_(weight, nonlinearity="linear")


def orthogonal(weight: Tensor, *, gain: Gain = 1.0) -> None:
    """Rows (or columns, of which there are fewer) at right angles, of length `gain`. Source: Saxe et al. 2014.

    gain: length of a row.
    """
    nn.init.orthogonal_(weight, gain)


def normal(weight: Tensor, *, std: PositiveFloat = 0.05) -> None:
    """Normal around 0.

    std: standard deviation.
    """
    nn.init.normal_(weight, std=std)


def truncated_normal(weight: Tensor, *, std: PositiveFloat = 0.02) -> None:
    """Normal around 0, cut at two deviations.

    std: standard deviation before the cut.
    """
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def uniform(weight: Tensor, *, limit: PositiveFloat = 0.05) -> None:
    """Uniform between -limit and limit.

    limit: largest size of a weight.
    """
    nn.init.uniform_(weight, -limit, limit)


def zeros(weight: Tensor) -> None:
    """All 0."""
    nn.init.zeros_(weight)


def ones(weight: Tensor) -> None:
    """All 1."""
    nn.init.ones_(weight)


def _items() -> dict[str, Item]:
    draws: dict[str, Callable[..., None]] = {
        "he": he_normal,
        "he_normal": he_normal,
        "he_uniform": he_uniform,
        "xavier": glorot_uniform,
        "xavier_normal": glorot_normal,
        "xavier_uniform": glorot_uniform,
        "glorot": glorot_uniform,
        "glorot_normal": glorot_normal,
        "glorot_uniform": glorot_uniform,
        "lecun": lecun_normal,
        "lecun_normal": lecun_normal,
        "lecun_uniform": lecun_uniform,
        "orthogonal": orthogonal,
        "normal": normal,
        "truncated_normal": truncated_normal,
        "uniform": uniform,
        "zeros": zeros,
        "ones": ones,
    }
    main: dict[Any, str] = {normal: "std", truncated_normal: "std", uniform: "limit"}
    main |= dict.fromkeys((orthogonal, glorot_normal, glorot_uniform), "gain")
    return {name: Item("initializer", name, draw, main=main.get(draw)) for name, draw in draws.items()}


ITEMS = _items()


def initialize(network: nn.Module, part: Part) -> None:
    """Draw the weights of a network's layers by one of the functions above, under torch's global generator."""
    with torch.no_grad():
        for module in network.modules():
            for weight in _weights(module):
                drawn = torch.empty(weight.shape)
                part.build(drawn)
                weight.copy_(drawn)
            for name, bias in module.named_parameters(recurse=False):
                if name.startswith("bias") and isinstance(module, BIASED):
                    bias.zero_()
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()


def _weights(module: nn.Module) -> Iterator[Tensor]:
    """The weights of one layer, as views in which the first axis is of outputs and the second of inputs."""
    if isinstance(module, (nn.Linear, nn.Embedding, *CONVOLUTIONS)):
        yield module.weight
    elif isinstance(module, TRANSPOSED):
        yield module.weight.transpose(0, 1)
    elif isinstance(module, nn.RNNBase):
        gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
        for name, weight in module.named_parameters(recurse=False):
            if name.startswith("weight"):
                yield from weight.chunk(gates)
