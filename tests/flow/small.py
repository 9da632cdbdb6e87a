"""A small real experiment: 400 training and 100 test pictures of the sample, a LeNet, two epochs."""

from typing import Any

CELL = """\
task: image-classification
data:
  train: SELECT image, label FROM products
  validation: 20%
  test: products_test
augment:
- random_horizontal_flip
model: lenet5
train:
  epochs: 2
  batch_size: 32
  workers: 2
"""


def views(spark: Any, train_rows: int = 400, test_rows: int = 100) -> None:
    """Register `products` and `products_test`."""
    from sparknn_magic import sample

    sample("fashion-mnist", spark).where(f"id % 10000 < {5 * train_rows}").limit(train_rows).createOrReplaceTempView(
        "products"
    )
    sample("fashion-mnist", spark, split="test").limit(test_rows).createOrReplaceTempView("products_test")
