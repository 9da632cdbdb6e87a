"""A plugin's keyword-only options are its schema."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from sparknn_magic.errors import PluginError, SpecError
from sparknn_magic.plugin import Item
from sparknn_magic.spec import Step
from sparknn_magic.spec.marks import Marks
from sparknn_magic.spec.schema import options_model, validate_options


def blur(
    inputs,
    *,
    radius: Annotated[float, Field(gt=0, le=9)],
    size: int | tuple[int, int] = 3,
    mode: Literal["mirror", "wrap"] = "mirror",
    weights: tuple[float, ...] = (0.5, 0.5),
    copy: bool = False,
    json: "str | None" = None,
):
    """Blur a picture.

    radius: standard deviation in pixels. size: of the window, in pixels.
    What is beyond the border is mirrored or repeated, as `mode` says.
    Raises: SpecError where `json` is bad.
    """


def plain():
    """No options."""


BLUR = Item("augmentation", "blur", blur, main="radius")


def check(step: Step, item: Item = BLUR) -> dict:
    return validate_options(item, step, Marks().error, ("augment", 0))


def message(step: Step, item: Item = BLUR) -> str:
    with pytest.raises(SpecError) as caught:
        check(step, item)
    return str(caught.value)


def test_options_are_filled_in_and_typed_as_the_signature_says():
    assert check(Step(name="blur", options={"radius": 2, "size": [3, 5]})) == {
        "radius": 2.0,
        "size": (3, 5),
        "mode": "mirror",
        "weights": (0.5, 0.5),
        "copy": False,
        "json": None,
    }


def test_a_bare_value_is_the_main_option():
    assert check(Step(name="blur", value=2))["radius"] == 2.0


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step(name="blur", options={"raduis": 2}), "blur has no option 'raduis'. Did you mean 'radius'? (and 1 more)"),
        (Step(name="blur"), "blur needs the option 'radius': a number greater than 0 and at most 9."),
        (
            Step(name="blur", value="big"),
            "augment.0.blur.radius must be a number greater than 0 and at most 9, not 'big'.",
        ),
        (Step(name="blur", value=0), "augment.0.blur.radius must be greater than 0, not 0."),
        (Step(name="blur", options={"radius": 9.5}), "augment.0.blur.radius must be at most 9, not 9.5."),
        (
            Step(name="blur", options={"radius": 1, "size": [1, 2, 3]}),
            "augment.0.blur.size must be a whole number or a list of 2 whole numbers, not [1, 2, 3].",
        ),
        (
            Step(name="blur", options={"radius": 1, "mode": "miror"}),
            "augment.0.blur.mode must be 'mirror' or 'wrap', not 'miror'. Did you mean 'mirror'?",
        ),
        (
            Step(name="blur", options={"radius": 1, "weights": [1, "a"]}),
            "augment.0.blur.weights must be a list of numbers, not [1, 'a'].",
        ),
        (
            Step(name="blur", options={"radius": 1, "copy": "yes"}),
            "augment.0.blur.copy must be true or false, not 'yes'.",
        ),
        (Step(name="blur", options={"radius": 1, "json": 3}), "augment.0.blur.json must be text, not 3."),
    ],
)
def test_a_wrong_option_is_answered_in_words(step, words):
    assert message(step) == words


def test_an_item_without_a_main_option_takes_no_bare_value():
    assert message(Step(name="plain", value=3), Item("layer", "plain", plain)) == "plain takes no options."
    named = Item("layer", "blur", blur)
    assert message(Step(name="blur", value=3), named) == "blur takes its options by name, `radius: ...`."
    assert message(Step(name="plain", options={"x": 3}), Item("layer", "plain", plain)) == (
        "plain has no option 'x'. It takes none."
    )


def test_the_docstring_describes_the_options():
    schema = options_model(BLUR).model_json_schema()
    described = {name: field.get("description") for name, field in schema["properties"].items()}
    assert described == {
        "radius": "standard deviation in pixels",
        "size": "of the window, in pixels",
        "mode": "What is beyond the border is mirrored or repeated, as `mode` says",
        "weights": None,
        "copy": None,
        "json": None,
    }


def test_the_schema_of_an_item_is_made_once():
    assert options_model(BLUR) is options_model(Item("augmentation", "blur", blur, notes={"a": 1}))


def test_a_signature_that_cannot_be_read_is_the_plugin_s_fault():
    def odd(*, thing: "Nowhere" = None):  # noqa: F821
        pass

    with pytest.raises(
        PluginError, match=r"the options of the layer 'odd' cannot be read from its signature: .*Nowhere"
    ):
        options_model(Item("layer", "odd", odd))
