"""Items with a fault that any kind may have, and the sentence that names it."""

from pydantic import PositiveInt

from sparknn_magic.plugin import augmentation, layer, schedule

WHOLE = {"source": "Nobody 2026", "licence": "Apache-2.0"}


@schedule("broken_silent", **WHOLE)
def silent(steps, epoch_steps):
    return lambda step: 1.0


@schedule("broken_no_arrow", **WHOLE)
def no_arrow(steps, epoch_steps):
    """Always one."""
    return lambda step: 1.0


@augmentation("broken_no_shapes", **WHOLE)
def no_shapes():
    """Pictures -> pictures."""
    return lambda images: images.flip(-1)


@schedule("broken_unexplained", **WHOLE)
def unexplained(steps, epoch_steps, *, gamma: float = 0.5):
    """Step number -> factor."""
    return lambda step: gamma


@schedule("broken_no_source", licence="Apache-2.0")
def no_source(steps, epoch_steps):
    """Step number -> factor."""
    return lambda step: 1.0


@schedule("broken_no_licence", source="Nobody 2026")
def no_licence(steps, epoch_steps):
    """Step number -> factor."""
    return lambda step: 1.0


@schedule("broken_default", **WHOLE)
def default(steps, epoch_steps, *, every: PositiveInt = 0):
    """Step number -> factor.

    every: steps.
    """
    return lambda step: 1.0


@schedule("Broken Name", **WHOLE)
def name(steps, epoch_steps):
    """Step number -> factor."""
    return lambda step: 1.0


@layer("broken_needs_more", main="units", **WHOLE)
def needs_more(shape, *, table: dict[str, int]):
    """[features] -> [features], with an option that no value of its type can be made up for.

    table: whatever it takes.
    """
    return table["missing"]


FAULTS = [
    (silent, "it has no docstring"),
    (no_arrow, "its docstring does not say what goes in and what comes out"),
    (no_shapes, "its docstring gives no shapes, such as float32[batch, features]"),
    (unexplained, "its docstring does not explain 'gamma'; write `gamma: what it is.`"),
    (no_source, "it names no source"),
    (no_licence, "no licence is recorded"),
    (default, "its annotations do not allow its own defaults or example: "),
    (name, "its name 'Broken Name' is not made of small letters, digits, _ and -, a letter first"),
    (needs_more, "its annotations do not allow its own defaults or example: "),
]
