"""What holds for every network and every layer: any number of rows, gradients, seeds, weights in a file, ONNX."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparknn_magic.errors import ExportError
from sparknn_magic.testing.kit import Fault, guard, must

ROWS = 7
CLOSE = 1e-3  # between PyTorch and ONNX Runtime, and between a row alone and in a batch
SEED = 7


@dataclass(frozen=True)
class Case:
    """One way in which a module is built, and rows for it."""

    words: str  # "1x28x28"
    make: Callable[[], nn.Module]
    rows: Callable[[int], dict[str, Tensor]]  # so many rows, by the arguments' names
    length: int | None = None  # tokens of the longest row, of texts
    unordered: bool = False  # a row gives a set: [B, Q, numbers] in any order of Q, as a detector's candidates are

    def run(self, module: nn.Module, rows: Mapping[str, Tensor]) -> Tensor:
        """Return what the module gives. Raises: Fault where it raises, or gives no tensor with a row for each."""
        count = len(next(iter(rows.values())))
        with guard(f"its forward fails on {count} row{'s' * (count != 1)} of {self.words}", allow=()):
            found = module(*rows.values())
        must(isinstance(found, Tensor), f"its forward gives {_article(type(found).__name__)}, not a tensor.")
        must(
            found.ndim >= 2 and len(found) == count,
            f"it gives {list(found.shape)} for {count} row{'s' * (count != 1)} of {self.words}: "
            "one row in, one row out.",
        )
        return found

    def seeded(self, seed: int = SEED) -> nn.Module:
        """Build it under a seed."""
        torch.manual_seed(seed)
        module = self.make()
        must(isinstance(module, nn.Module), f"it builds {_article(type(module).__name__)}, not a torch.nn.Module.")
        return module

    def settled(self) -> nn.Module:
        """Build it, let its running statistics be those of a batch, and put it into evaluation mode.

        First statistics would make all rows look alike, and chance decide what a network chooses by its outputs.
        """
        module = self.seeded()
        momenta = {each: each.momentum for each in module.modules() if isinstance(each, _BatchNorm)}
        for each in momenta:
            each.momentum = 1.0
        self.run(module.train(), self.rows(ROWS))
        for each, momentum in momenta.items():
            each.momentum = momentum
        return module.eval()


def pairs(case: Case, here: Tensor, there: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return what is to be compared: the two results, or each set beside the members of the other nearest to its own.

    A detector ranks its candidates by scores; two that differ by less than rounding change places.
    """
    if not case.unordered:
        return [(here, there)]
    return [(here, _nearest(here, there)), (there, _nearest(there, here))]


def _nearest(wanted_BQN: Tensor, found_BQN: Tensor) -> Tensor:
    index_BQ = torch.cdist(wanted_BQN, found_BQN, p=torch.inf).argmin(2)
    return found_BQN.gather(1, index_BQ[..., None].expand(-1, -1, found_BQN.shape[2]))


def takes_any_batch(case: Case, width: int | None = None) -> str:
    """1 and 7 rows give as many; a row's result does not depend on the rows beside it. `width`: numbers of a row."""
    module, rows = case.settled(), case.rows(ROWS)
    with torch.no_grad():
        whole = case.run(module, rows)
        alone = case.run(module, {name: values[:1] for name, values in rows.items()})
    if width is not None:
        must(
            whole.shape == (ROWS, width),
            f"it gives {list(whole.shape)} where {ROWS} rows with {width} outputs are [{ROWS}, {width}].",
        )
    must(whole.dtype.is_floating_point, f"it gives {whole.dtype}, not floating-point numbers.")
    must(whole.isfinite().all(), f"it gives numbers that are not finite for {case.words}.")
    must(
        all(torch.allclose(a, b, atol=CLOSE, rtol=CLOSE) for a, b in pairs(case, whole[:1], alone)),
        f"a row of {case.words} gives another result alone than in a batch of {ROWS}, in evaluation mode.",
    )
    return f"takes 1 and {ROWS} rows of {case.words}"


def ignores_padding(case: Case) -> str:
    """A text gives the same with padding behind it and without, whatever its length."""
    module, rows = case.settled(), case.rows(ROWS)
    with torch.no_grad():
        whole = case.run(module, rows)
        for n, tokens in enumerate(rows["attention_mask"].sum(1).tolist()):
            alone = case.run(module, {name: values[n : n + 1, :tokens] for name, values in rows.items()})
            text = f"a text of {tokens} token{'s' * (tokens != 1)}"
            must(
                torch.allclose(whole[n], alone[0], atol=CLOSE, rtol=CLOSE),
                f"{case.words}: {text} gives another result with padding behind it.",
            )
    return "padding changes nothing"


def learns(case: Case) -> str:
    """Every parameter gets a finite gradient: one without leaves Spark's ranks waiting for each other."""
    module = case.seeded().train()
    found = case.run(module, case.rows(ROWS))
    wanted = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if not wanted:
        return "has nothing to learn"
    must(found.requires_grad, "its outputs do not depend on its parameters: no gradient flows.")
    with guard("its backward pass fails", allow=()):
        (found.float() * torch.randn_like(found.float())).sum().backward()
    idle = [name for name, p in wanted if p.grad is None]
    must(not idle, f"its parameter '{(idle or [''])[0]}' takes no part in the result, so it gets no gradient.")
    wrong = [name for name, p in wanted if p.grad is not None and not p.grad.isfinite().all()]
    must(not wrong, f"the gradient of its parameter '{(wrong or [''])[0]}' is not finite.")
    return f"each of its {len(wanted)} parameters gets a gradient"


def obeys_the_seed(case: Case) -> str:
    """The same seed gives the same weights and, in training mode, the same results."""
    first, second = case.seeded(), case.seeded()
    same = all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    must(same, "its weights differ from build to build under one seed: draw them by torch's global generator alone.")
    rows, results = case.rows(ROWS), []
    for module in (first, second):
        torch.manual_seed(SEED)
        results.append(case.run(module.train(), rows))
    must(
        torch.equal(*results),
        "its results in training mode differ under one seed: draw by torch's global generator alone.",
    )
    return "the seed decides its weights and results"


def is_saved_whole(case: Case) -> str:
    """Its state, through safetensors, makes a module built anew give the same."""
    module, rows = case.settled(), case.rows(ROWS)
    with guard("its state does not go into a safetensors file", allow=()):
        data = save({name: value.detach().clone().contiguous() for name, value in module.state_dict().items()})
    again = case.seeded(SEED + 1).eval()
    with guard("its state does not come back", allow=()):
        again.load_state_dict(load(data))
    with torch.no_grad():
        must(
            torch.equal(case.run(module, rows), case.run(again, rows)),
            "with its weights loaded again it gives other results: something it needs is not in its state_dict.",
        )
    return "its weights come back from a file"


def exports(case: Case, outputs: Sequence[str] = ("outputs",)) -> str:
    """ONNX Runtime gives what PyTorch does, for 1 row and for 7."""
    from sparknn_magic.export.graph import export_onnx
    from sparknn_magic.export.parity import run_onnx, run_torch

    module, rows = case.settled(), case.rows(ROWS + 1)
    arrays = {name: values.numpy() for name, values in rows.items()}
    # Two rows; of texts with fewer tokens than the rows that it then runs on.
    example = {name: values[:2] if case.length is None else values[:2, :3] for name, values in rows.items()}
    with tempfile.TemporaryDirectory(prefix="sparknn-check-") as folder:
        file = Path(folder) / "model.onnx"
        try:
            with guard("it does not export to ONNX", allow=(ExportError,)):
                export_onnx(module, example, outputs, file, {}, length=case.length)
        except ExportError as error:
            raise Fault(f"it does not export to ONNX: {error.message.partition(': ')[2] or error.message}") from error
        with guard("its ONNX file does not run", allow=()):
            there = run_onnx(file, arrays)
    here = run_torch(module, arrays)
    both = pairs(case, torch.from_numpy(np.asarray(here)), torch.from_numpy(np.asarray(there)))
    difference = max(float((a - b).abs().max()) for a, b in both)
    must(
        all(torch.allclose(a, b, atol=CLOSE, rtol=CLOSE) for a, b in both),
        f"ONNX Runtime and PyTorch differ by {difference:.2g} on {case.words}; at most {CLOSE:g} is allowed.",
    )
    return f"ONNX Runtime agrees to {difference:.0e} for 1 row and for {ROWS}"


def _article(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
