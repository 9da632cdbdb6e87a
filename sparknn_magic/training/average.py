"""The running mean of the weights, which is often better than the last weights. Runs on executors.

Source: Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging; the exponential form and its
start as in TensorFlow's ExponentialMovingAverage.
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class Average:
    """mean <- d * mean + (1 - d) * weight after every step, of parameters and running statistics alike.

    d is `decay`, at first less: (1 + steps) / (10 + steps), so that a short run forgets its random start.
    """

    def __init__(self, body: nn.Module, decay: float):
        self.decay, self.steps = decay, 0
        # By reference: `state_dict` would give detached copies of the names only.
        self.own = {**dict(body.named_parameters()), **dict(body.named_buffers())}
        self.mean = {name: tensor.detach().clone() for name, tensor in self.own.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        rest = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        floating = [name for name, tensor in self.own.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.mean[n] for n in floating], [self.own[n].detach() for n in floating], rest)
        for name in self.own.keys() - set(floating):
            self.mean[name].copy_(self.own[name])  # a count of batches

    def restart(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on from what a checkpoint holds."""
        self.steps = steps
        for name, tensor in state.items():
            self.mean[name].copy_(tensor)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the means for its weights while the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, tensor in self.own.items():
            tensor.data, self.mean[name] = self.mean[name], tensor.data

    def statistics(self) -> list[Tensor]:
        """Return the means of what is no parameter: running statistics, which each rank has gathered on its own."""
        return [
            self.mean[name]
            for name, tensor in self.own.items()
            if not isinstance(tensor, nn.Parameter) and tensor.is_floating_point()
        ]
