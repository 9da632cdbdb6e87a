"""Make the Fashion-MNIST sample from the original files, as Debian's package `dataset-fashion-mnist` installs them.

    apt install dataset-fashion-mnist
    python -m sparknn_zoo.samples.make_fashion_mnist --source /usr/share/datasets/fashion-mnist --out fashion_mnist

Takes the first rows of every class, in the order of the file, and writes train.parquet and test.parquet.
The pixels depend on the source alone. The bytes also depend on the versions of Pillow (with its zlib) and pyarrow;
the encoder's version is kept in the Parquet metadata, key `png_encoder`.
"""

import argparse
import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, __version__, features

# The words and their order are those of Fashion-MNIST's README.
LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FILES = {"train": "train", "test": "t10k"}  # split -> how its original files are called
ROWS_PER_CLASS = {"train": 1000, "test": 200}


def read_idx(path: Path) -> np.ndarray:
    """Return the array of a gzipped IDX file of bytes: images uint8[N, 28, 28] or labels uint8[N].

    Raises: ValueError where the file is not one.
    Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
    """
    content = gzip.decompress(path.read_bytes())
    zero, kind, axes = int.from_bytes(content[:2]), content[2], content[3]
    shape = tuple(int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis]) for axis in range(axes))
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if zero != 0 or kind != 0x08 or pixels.size != np.prod(shape):
        raise ValueError(f"{path} is not an IDX file of bytes")
    return pixels.reshape(shape)


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the first `count` rows of every class, ascending: int64[classes * count].

    Raises: ValueError where a class has fewer rows.
    """
    positions = [np.flatnonzero(labels == label)[:count] for label in range(len(LABELS))]
    if any(len(found) < count for found in positions):
        raise ValueError(f"a class has fewer than {count} rows")
    return np.sort(np.concatenate(positions))


def encode(pixels: np.ndarray) -> bytes:
    """uint8[H, W] -> a PNG of mode L."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def encoder() -> str:
    """Return what the PNG's bytes depend on besides the pixels, e.g. `Pillow 13.0.0, zlib 1.3.1`."""
    library = "zlib_ng" if features.check("zlib_ng") else "zlib"
    return f"Pillow {__version__}, {library} {features.version(library)}"


def table(source: Path, split: str, rows_per_class: int) -> pa.Table:
    """Return one split's rows: id int64, image binary, label string; ascending by id."""
    images = read_idx(source / f"{FILES[split]}-images-idx3-ubyte.gz")
    labels = read_idx(source / f"{FILES[split]}-labels-idx1-ubyte.gz")
    ids = first_of_each_class(labels, rows_per_class)
    columns = {
        "id": pa.array(ids, pa.int64()),
        "image": pa.array([encode(images[i]) for i in ids], pa.binary()),
        "label": pa.array([LABELS[labels[i]] for i in ids], pa.string()),
    }
    return pa.table(columns).replace_schema_metadata({"png_encoder": encoder()})


def main(arguments: list[str] | None = None) -> None:
    """Write both files. `arguments` are the command line's words, those of the process when None."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="the folder of the four *-ubyte.gz files")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for split, rows_per_class in ROWS_PER_CLASS.items():
        path = options.out / f"{split}.parquet"
        # zstd takes out what every PNG repeats, its header and its end: a tenth of the file.
        pq.write_table(
            table(options.source, split, rows_per_class),
            path,
            compression="zstd",
            compression_level=19,
            use_dictionary=["label"],
        )
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
