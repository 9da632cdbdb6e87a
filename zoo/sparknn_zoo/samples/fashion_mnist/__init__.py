"""The Fashion-MNIST sample: Parquet files beside this one, made by `sparknn_zoo.samples.make_fashion_mnist`."""

from pathlib import Path

from sparknn_magic.plugin import sample


@sample(
    "fashion-mnist",
    source="Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747; "
    "https://github.com/zalandoresearch/fashion-mnist, from Debian's package dataset-fashion-mnist",
    licence="MIT, Copyright (c) 2017 Zalando SE",
)
def fashion_mnist() -> dict[str, Path]:
    """Photos of Zalando's products, 28x28 greyscale: 10,000 to train and 2,000 to test, each of 10 classes as often.

    Columns: id (bigint, the row in the original file, from 0), image (binary, PNG), label (string).
    """
    folder = Path(__file__).parent
    return {"train": folder / "train.parquet", "test": folder / "test.parquet"}
