"""`sparknn demo`: the whole main job on real pictures, in one call."""

import time

WORKERS = 2
EXPERIMENT = """\
task: image-classification
data:
  train: SELECT image, label FROM fashion_mnist
  validation: 10%
  test: fashion_mnist_test
augment:
- random_horizontal_flip
model:
  resnet9: {width: 8}
train:
  epochs: 12
  batch_size: 64
  optimizer: {adamw: {lr: 1e-2, weight_decay: 0.05}}
  schedule: one_cycle
  workers: 2
export: models/fashion
"""


def demo(*, runs: str | None = None) -> None:
    """Train on the Fashion-MNIST sample with two workers, score its test rows, print figures and where things are.

    Raises: SessionError where Spark cannot be started.
    """
    from sparknn_magic.cluster import slots
    from sparknn_magic.run import train
    from sparknn_magic.samples import sample
    from sparknn_magic.sessions import session
    from sparknn_magic.show.text import metrics_table
    from sparknn_magic.show.words import near

    started = time.perf_counter()
    spark = session("sparknn-demo")
    sample("fashion-mnist", spark)
    print("This is the cell that runs now (Fashion-MNIST, real product pictures):", end="\n\n")
    print(f"%%sparknn train fashion\n{EXPERIMENT}")
    workers = min(WORKERS, slots(spark) or WORKERS)  # a machine with one core trains with one worker
    model = train(EXPERIMENT, name="fashion", overrides=[f"train.workers={workers}"], spark=spark, runs=runs)
    query = "SELECT fashion(image).label AS predicted, count(*) AS rows FROM fashion_mnist_test GROUP BY 1"
    print(f"\n{metrics_table(model.metrics, evaluated_on=model.meta['evaluated_on'])}")
    print(f"{query}\n")
    for row in spark.sql(query).collect():
        print(f"  {row.predicted:<12} {row['rows']:>5}")
    print(f"\nmodel folder  {near(model.folder)}")
    print(f"report        {near(model.report)}")
    print(f"in all        {time.perf_counter() - started:.0f} s")
