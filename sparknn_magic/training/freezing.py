"""Parts of the network that are left as they are, by name. Runs on executors, and on the driver to check the names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from sparknn_magic.errors import SpecError, did_you_mean

SHOWN = 8  # names in an error


class Frozen:
    """The modules and parameters that patterns name; `hold` takes their gradients away, `release` gives them back."""

    def __init__(self, body: nn.Module, patterns: Sequence[str]):
        self.modules: list[nn.Module] = []
        self.parameters: list[nn.Parameter] = []
        for pattern in patterns:
            modules, parameters = matching(body, pattern)
            self.modules += modules
            self.parameters += [p for p in parameters if p.requires_grad]
        self.parameters = list({id(p): p for p in self.parameters}.values())

    def hold(self) -> None:
        """Let the parameters learn nothing."""
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def rest(self) -> None:
        """Put the modules, with their running statistics and dropout, into evaluation mode.

        Called whenever the network has been put into training mode.
        """
        for module in self.modules:
            module.eval()

    def release(self) -> None:
        """Let everything learn again."""
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        for module in self.modules:
            module.train()
        self.modules, self.parameters = [], []


def matching(body: nn.Module, pattern: str) -> tuple[list[nn.Module], list[nn.Parameter]]:
    """Return the modules whose names match, with all below them, and every parameter that is meant.

    `layer*` matches `layer1` and `layer2.conv`; a parameter can be named too, as in `*.bias`.
    Raises: SpecError where nothing matches, with the nearest name.
    """
    named = {name: module for name, module in body.named_modules() if name}
    modules = [module for name, module in named.items() if fnmatchcase(name, pattern)]
    parameters = [p for name, p in body.named_parameters() if fnmatchcase(name, pattern)]
    if not modules and not parameters:
        top = [name for name, _ in body.named_children()]
        known = [*named, *(name for name, _ in body.named_parameters())]
        listed = ", ".join(top[:SHOWN]) + (", ..." if len(top) > SHOWN else "")
        raise SpecError(
            f"the network has no part named '{pattern}'.{did_you_mean(pattern.rstrip('*.'), known)}",
            hint=f"Its parts are {listed}; `*` stands for any letters." if top else "It has no named parts.",
        )
    inner = [each for module in modules for each in module.modules()]
    every = [*parameters, *(p for module in modules for p in module.parameters())]
    return list({id(m): m for m in inner}.values()), list({id(p): p for p in every}.values())


def check(body: nn.Module, patterns: Sequence[str], unfrozen_later: bool) -> None:
    """Raise SpecError where a pattern matches nothing, or where nothing would be left to train."""
    kept = {id(p) for p in body.parameters() if p.requires_grad}
    for pattern in patterns:
        kept -= {id(p) for p in matching(body, pattern)[1]}
    if not kept and not unfrozen_later:
        raise SpecError(
            "train.freeze leaves nothing to train.", hint="Leave the last layer out, or write unfreeze_after."
        )
