"""Activations: each number by itself, and softmax."""

from pydantic import PositiveFloat
from torch import nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import OverSteps, Shape, known

SILU = "Elfwing et al. 2017, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941"


@layer("relu", source="Nair and Hinton 2010, ICML")
def relu(shape: Shape) -> nn.Module:
    """max(0, x): any shape [...] -> the same."""
    return nn.ReLU()


@layer("relu6", source="Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10")
def relu6(shape: Shape) -> nn.Module:
    """min(max(0, x), 6): any shape [...] -> the same."""
    return nn.ReLU6()


@layer("leaky_relu", main="slope", source="Maas et al. 2013, ICML")
def leaky_relu(shape: Shape, *, slope: PositiveFloat = 0.01) -> nn.Module:
    """x, and below 0 slope * x: any shape [...] -> the same.

    slope: below 0.
    """
    return nn.LeakyReLU(slope)


@layer("prelu", main="slope", source="He et al. 2015, arXiv:1502.01852")
def prelu(shape: Shape, *, slope: PositiveFloat = 0.25) -> nn.Module:
    """x, and below 0 slope * x, with a slope learnt for each channel or feature: any shape [...] -> the same.

    slope: where learning starts.
    """
    act = nn.PReLU(known(shape), slope)
    return OverSteps(act) if len(shape) == 2 else act


@layer("elu", main="alpha", source="Clevert et al. 2016, arXiv:1511.07289")
def elu(shape: Shape, *, alpha: PositiveFloat = 1.0) -> nn.Module:
    """x, and below 0 alpha (exp(x) - 1): any shape [...] -> the same.

    alpha: minus the least value.
    """
    return nn.ELU(alpha)


@layer("selu", source="Klambauer et al. 2017, arXiv:1706.02515")
def selu(shape: Shape) -> nn.Module:
    """1.0507 x, and below 0 1.7581 (exp(x) - 1), which keeps mean 0 and variance 1: any shape [...] -> the same."""
    return nn.SELU()


@layer("gelu", main="approximate", source="Hendrycks and Gimpel 2016, arXiv:1606.08415")
def gelu(shape: Shape, *, approximate: bool = False) -> nn.Module:
    """x times the normal distribution function of x: any shape [...] -> the same.

    approximate: whether to compute it by tanh, as GPT-2 and BERT's first code do.
    """
    return nn.GELU("tanh" if approximate else "none")


@layer("silu", source=SILU)
def silu(shape: Shape) -> nn.Module:
    """x * sigmoid(x), also called swish: any shape [...] -> the same."""
    return nn.SiLU()


@layer("swish", source=SILU)
def swish(shape: Shape) -> nn.Module:
    """x * sigmoid(x), also called silu: any shape [...] -> the same."""
    return nn.SiLU()


@layer("mish", source="Misra 2019, arXiv:1908.08681")
def mish(shape: Shape) -> nn.Module:
    """x * tanh(softplus(x)): any shape [...] -> the same."""
    return nn.Mish()


@layer("tanh", source="LeCun et al. 1998, Efficient BackProp, sec. 4.4")
def tanh(shape: Shape) -> nn.Module:
    """Hyperbolic tangent, -1..1: any shape [...] -> the same."""
    return nn.Tanh()


@layer("sigmoid", source="Rumelhart et al. 1986, Nature 323:533-536")
def sigmoid(shape: Shape) -> nn.Module:
    """1 / (1 + exp(-x)), 0..1: any shape [...] -> the same."""
    return nn.Sigmoid()


@layer("softplus", main="beta", source="Dugas et al. 2000, NIPS")
def softplus(shape: Shape, *, beta: PositiveFloat = 1.0) -> nn.Module:
    """ln(1 + exp(beta x)) / beta, a smooth relu: any shape [...] -> the same.

    beta: how sharp it bends.
    """
    return nn.Softplus(beta)


@layer("softsign", source="Turian et al. 2009, NAACL")
def softsign(shape: Shape) -> nn.Module:
    """x / (1 + |x|), -1..1: any shape [...] -> the same."""
    return nn.Softsign()


@layer("hardswish", source="Howard et al. 2019, arXiv:1905.02244")
def hardswish(shape: Shape) -> nn.Module:
    """x min(max(0, x + 3), 6) / 6: any shape [...] -> the same."""
    return nn.Hardswish()


@layer("hardsigmoid", source="Courbariaux et al. 2015, arXiv:1511.00363")
def hardsigmoid(shape: Shape) -> nn.Module:
    """min(max(0, x + 3), 6) / 6: any shape [...] -> the same."""
    return nn.Hardsigmoid()


@layer("softmax", source="Bridle 1990")
def softmax(shape: Shape) -> nn.Module:
    """Positive numbers of sum 1, over the features, or each pixel's channels: any shape [...] -> the same.

    At the end of a classifier it is left out: the task takes logits and applies softmax itself.
    Raises: SpecError over a single number.
    """
    if known(shape) == 1:
        raise SpecError("softmax of a single number is always 1; leave it out.")
    return nn.Softmax(1 if len(shape) == 3 else -1)
