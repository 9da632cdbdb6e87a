"""Solarization. Runs on executors, for predictions too: Pillow, numpy and the standard library, never torch."""

from collections.abc import Callable

from PIL import Image, ImageOps

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import preprocessor


@preprocessor(
    "my_sparknn_plugin_solarize",
    main="threshold",
    source="Cubuk et al. 2019, AutoAugment, arXiv:1805.09501",
    licence="Apache-2.0",
)
def solarize(*, threshold: int = 128) -> Callable[[Image.Image], Image.Image]:
    """Picture of any size -> the same size, its bright pixels inverted.

    threshold: the least value, 0..256, that is inverted; 0 gives the negative, 256 changes nothing.
    Raises: SpecError where it is outside that range.
    """
    if not 0 <= threshold <= 256:
        raise SpecError(f"my_sparknn_plugin_solarize: threshold is {threshold}; it must be between 0 and 256.")

    def apply(image: Image.Image) -> Image.Image:
        return ImageOps.solarize(image, threshold)

    return apply
