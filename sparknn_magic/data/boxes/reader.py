"""A column of pictures -> uint8 NHWC, and where each one's pixels came from, on executors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from sparknn_magic.data.boxes.geometry import placed
from sparknn_magic.data.worker import Pictures, image_reader
from sparknn_magic.plugin import Part

SIZES = 4096  # of pictures, whose places are remembered


class PlacedBatch(dict[str, np.ndarray]):
    """The inputs of a batch of n pictures by the names of a model file's inputs, and beside them their places.

    `place` float32[n, 6] is (scale x, scale y, shift x, shift y, width, height): a source picture of width x height
    pixels has its x at x * scale + shift in the input.
    """

    def __init__(self, pixels: np.ndarray, place: np.ndarray):
        super().__init__(image=pixels)
        self.place = place


@dataclass(frozen=True, slots=True)
class PlacedPictures:
    """What `scene_reader` makes of an Arrow array of n values; rows and errors are those of `Pictures`."""

    pictures: Pictures
    place: np.ndarray  # float32[readable, 6]

    @property
    def inputs(self) -> PlacedBatch:
        """The readable rows by the name of the model file's input, with their places."""
        return PlacedBatch(self.pictures.pixels, self.place)

    @property
    def rows(self) -> np.ndarray:
        """int64[readable]: the positions of the readable rows in the array, ascending."""
        return self.pictures.rows

    @property
    def errors(self) -> list[str | None]:
        """One for each of the n rows: None where it was read, else a short reason."""
        return self.pictures.errors


def scene_reader(
    *, steps: Sequence[Part] = (), height: int, width: int, channels: int, shape: Sequence[int] | None = None
) -> Callable[[pa.Array], PlacedPictures]:
    """Return a function of an Arrow array of n values to `PlacedPictures`; all else is as in `image_reader`."""
    read = image_reader(steps=steps, height=height, width=width, channels=channels, shape=shape)
    built = [part.build() for part in steps]

    @lru_cache(SIZES)
    def place(source_width: int, source_height: int) -> tuple[float, ...]:
        return (*placed(built, source_width, source_height), source_width, source_height)

    def read_placed(array: pa.Array) -> PlacedPictures:
        found = read(array)
        places = [place(int(w), int(h)) for w, h in found.sizes]
        return PlacedPictures(found, np.array(places, np.float32).reshape(-1, 6))

    return read_placed
