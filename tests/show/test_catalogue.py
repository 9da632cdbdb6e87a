from collections.abc import Callable
from typing import Annotated, Literal

import pytest
from pydantic import Field

from sparknn_magic import registry
from sparknn_magic.listing import entry_of
from sparknn_magic.plugin import architecture, augmentation, loss, preprocessor
from sparknn_magic.registry import Failure
from sparknn_magic.show.catalogue import item_help
from sparknn_magic.show.zoo_listing import Zoo, zoo
from sparknn_magic.spec.experiment import Experiment


@architecture(
    "tiny", task="image-classification", source="Me 2026, arXiv:2601.00001", licence="MIT", notes={"parameters": 1234}
)
def tiny(
    inputs: object, outputs: int, *, width: Annotated[int, Field(gt=0)] = 16, act: Literal["relu", "gelu"] = "relu"
) -> object:
    """Tiny network: float32[B, C, H, W] -> logits float32[B, outputs].

    width: channels of the first stage.
    act: what follows each convolution.
    Raises: SpecError where it must.
    """
    return inputs, outputs, width, act


@preprocessor("crop", main="size")
def crop(*, size: int, where: str = "middle") -> Callable[[object], object]:
    """Picture -> its middle."""
    return lambda image: (image, size, where)


@loss("plain")
def plain(*, smoothing: float = 0.0) -> Callable[..., object]:
    """(logits, target) -> float32[N]."""
    return lambda *_: smoothing


@augmentation("nothing")
def nothing() -> Callable[[object], object]:
    """float32[N, C, H, W] -> the same shape, unchanged."""
    return lambda images: images


ITEMS = [f.__sparknn__ for f in (tiny, crop, plain, nothing)]


def test_the_zoo_is_grouped_by_kind_and_task_word_for_word():
    failures = [Failure("loss", "broken", "my-package", "ImportError: no module named 'x'")]
    assert repr(Zoo([entry_of(item) for item in ITEMS], failures)) == (
        "architectures for image-classification (1)\n"
        "  tiny  1.23 k  Tiny network  Me 2026, arXiv:2601.00001\n"
        "\n"
        "preprocessors (1)\n"
        "  crop  Picture -> its middle\n"
        "\n"
        "losses (1)\n"
        "  plain  (logits, target) -> float32[N]\n"
        "\n"
        "augmentations (1)\n"
        "  nothing  unchanged\n"
        "\n"
        "do not load (1)\n"
        "  broken  loss  my-package  ImportError: no module named 'x'\n"
        "\n"
        "Parameters are those of the default options; small: below 1 million parameters, medium: below 10 million, "
        "large: 10 million and more.\n"
        "`%sparknn help NAME` shows the options of one, and a cell to paste."
    )


def test_an_empty_zoo_says_so():
    assert repr(Zoo([])) == "no plugins found"


def test_where_two_packages_bring_plugins_each_line_names_its_own():
    text = repr(Zoo([*map(entry_of, ITEMS), *zoo("losses").entries]))
    assert next(line for line in text.split("\n") if line.startswith("  cross_entropy")).endswith("  built-in")
    assert next(line for line in text.split("\n") if line.startswith("  tiny")).endswith("  this notebook")


def test_the_help_of_an_architecture_word_for_word():
    assert item_help(tiny.__sparknn__) == (
        "tiny (architecture)\n"
        "===================\n"
        "\n"
        "Tiny network: float32[B, C, H, W] -> logits float32[B, outputs].\n"
        "\n"
        "Raises: SpecError where it must.\n"
        "\n"
        "options\n"
        "  name   default  takes                          meaning\n"
        "  width  16       a whole number greater than 0  channels of the first stage\n"
        "  act    relu     'relu' or 'gelu'               what follows each convolution\n"
        "\n"
        "task          image-classification\n"
        "dynamic axes  batch\n"
        "parameters    1,234\n"
        "source        Me 2026, arXiv:2601.00001\n"
        "licence       MIT\n"
        f"code          {tiny.__module__}:tiny\n"
        "\n"
        "example\n"
        "  %%sparknn train my_model\n"
        "  task: image-classification\n"
        "  data:\n"
        "    train: SELECT image, label FROM my_table\n"
        "  model:\n"
        "    tiny: {width: 16}\n"
    )


def test_a_required_option_is_said_and_a_bare_value_too():
    text = item_help(crop.__sparknn__)
    assert "  size   required  a whole number" in text
    assert "`crop: VALUE` sets size." in text
    assert "  preprocess:\n  - crop: 32\n" in text


def test_an_item_without_options_says_so():
    assert "no options" in item_help(nothing.__sparknn__)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in registry.GROUPS for name in registry.names(kind) if kind != "sample"]
)
def test_the_example_cell_of_every_built_in_is_a_valid_experiment(kind, name):
    text = item_help(registry.get(kind, name))
    cell = text.split("example\n")[1].split("\n", 1)[1]
    experiment = Experiment.parse("\n".join(line[2:] for line in cell.split("\n")))
    assert name in text
    from sparknn_magic.spec.resolve import resolve

    resolve(experiment)
