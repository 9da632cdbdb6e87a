"""torch's optimizers that need no words of ours: a plugin is made of each one's own signature.

Names, options and defaults are torch's. `OPTIONS` says what an option takes and means, so an option that a newer torch
adds is not offered before it stands there; those that choose an implementation (`foreach`, `fused`, ...) never are.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor
from torch.optim import Optimizer

from sparknn_magic.plugin import optimizer

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]

TAKES = "Takes parameters, or torch parameter groups, whose own settings go before these."
SPECIAL = {"foreach", "fused", "capturable", "differentiable", "maximize"}

# What an option takes, and what it is.
OPTIONS: dict[str, tuple[Any, str]] = {
    "lr": (Positive, "learning rate, where the schedule's factor is 1"),
    "betas": (tuple[Share, Share], "decay of the gradient's running mean, and of its running square"),
    "eps": (NotNegative, "added to a denominator, against division by 0"),
    "weight_decay": (NotNegative, "this share of the weight is added to its gradient"),
    "amsgrad": (bool, "divide by the largest running square so far (Reddi et al. 2018)"),
    "decoupled_weight_decay": (bool, "shrink the weight itself, as adamw does, and leave its gradient alone"),
    "momentum_decay": (NotNegative, "how fast the momentum rises to its full share over the steps"),
    "rho": (Share, "decay of the running squares of gradients and of steps"),
    "lr_decay": (NotNegative, "the rate is divided by 1 plus this times the steps that are done"),
    "initial_accumulator_value": (NotNegative, "the sum of squares at the start"),
    "momentum": (Share, "share of the last step that is kept"),
}


def _of_torch(
    kind: type[Optimizer],
    about: str,
    source: str,
    *,
    options: Mapping[str, tuple[Any, str]] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Callable[..., Optimizer]:
    """Return a plugin for one of torch's classes; `options` goes before OPTIONS, `fixed` is passed on as it is."""
    name = kind.__name__.lower()
    words = OPTIONS | dict(options or {})
    own = [p for p in inspect.signature(kind).parameters.values() if p.name in words and p.name not in SPECIAL]

    def build(parameters: Iterable[Tensor] | Iterable[dict[str, Any]], **given: Any) -> Optimizer:
        return kind(parameters, **given, **(fixed or {}))

    taken = [inspect.Parameter("parameters", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    taken += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=words[p.name][0]) for p in own]
    build.__name__ = build.__qualname__ = name  # executors find it again by module and name
    build.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    lines = [f"{p.name}: {words[p.name][1]}." for p in own]
    build.__doc__ = "\n".join(
        [f"{about}.", "", TAKES, "", *lines, "Raises: ValueError where an option is out of range."]
    )
    return optimizer(name, main="lr", source=source)(build)


adam = _of_torch(
    torch.optim.Adam,
    "Adam: the gradient's running mean over the root of its running square",
    "Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, arXiv:1412.6980",
    fixed={"fused": True},  # a third of the time of the plain one on a CPU
)
adamax = _of_torch(
    torch.optim.Adamax,
    "Adam with the gradient's running maximum in place of the root of its running square",
    "Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, sec. 7.1, arXiv:1412.6980",
    options={"betas": (tuple[Share, Share], "decay of the gradient's running mean, and of its running maximum")},
)
nadam = _of_torch(
    torch.optim.NAdam, "Adam with Nesterov's momentum", "Dozat 2016, Incorporating Nesterov Momentum into Adam"
)
radam = _of_torch(
    torch.optim.RAdam,
    "Adam whose first steps wait until the running square can be relied on",
    "Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond, arXiv:1908.03265",
)
adagrad = _of_torch(
    torch.optim.Adagrad,
    "The gradient over the root of the sum of its squares so far",
    "Duchi et al. 2011, Adaptive Subgradient Methods for Online Learning, JMLR 12:2121-2159",
)
adadelta = _of_torch(
    torch.optim.Adadelta,
    "Adagrad with running squares, its steps measured by those before",
    "Zeiler 2012, ADADELTA: An Adaptive Learning Rate Method, arXiv:1212.5701",
)
rmsprop = _of_torch(
    torch.optim.RMSprop,
    "The gradient over the root of its running square",
    "Tieleman and Hinton 2012, Neural Networks for Machine Learning, lecture 6.5; centered: Graves 2013, "
    "arXiv:1308.0850",
    options={
        "alpha": (Share, "decay of the gradient's running square"),
        "centered": (bool, "divide by the gradient's deviation instead of its root mean square"),
    },
)
rprop = _of_torch(
    torch.optim.Rprop,
    "Steps by the gradient's sign, longer where it stays and shorter where it has changed",
    "Riedmiller and Braun 1993, A Direct Adaptive Method for Faster Backpropagation Learning; for batches that are "
    "all of the rows",
    options={
        "lr": (Positive, "the first step; the schedule's factor acts on the first step alone"),
        "etas": (
            tuple[Annotated[float, Gt(0), Lt(1)], Annotated[float, Gt(1)]],
            "what a step is multiplied by where the gradient's sign has changed, and where it has not",
        ),
        "step_sizes": (tuple[NotNegative, Positive], "smallest and largest step"),
    },
)
asgd = _of_torch(
    torch.optim.ASGD,
    "Gradient descent with a rate that falls as averaging needs it; `train.ema` does the averaging",
    "Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging",
    options={
        "lambd": (NotNegative, "decay of the weights, and of the rate with the steps"),
        "alpha": (NotNegative, "power with which the rate falls"),
        "t0": (NotNegative, "step at which averaging starts"),
    },
)
adafactor = _of_torch(
    torch.optim.Adafactor,
    "Adam that keeps a matrix' running squares by rows and columns, in little memory",
    "Shazeer and Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, arXiv:1804.04235",
    options={
        "beta2_decay": (Annotated[float, Le(0)], "power of the step number in the running square's decay"),
        "eps": (
            tuple[NotNegative | None, Positive],
            "least squared gradient (null: the number format's own), and least size of a weight for its step",
        ),
        "d": (Annotated[float, Ge(1)], "largest root mean square of a step; a larger one is scaled down"),
    },
)
