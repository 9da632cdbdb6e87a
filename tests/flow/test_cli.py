"""The shell door: `sparknn ...`, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

YAML = """\
task: image-classification
data:
  train: train.parquet
  test: test.parquet
model: lenet5
train: {epochs: 1, batch_size: 64, workers: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import pyarrow.parquet as pq

    from sparknn_magic import registry

    here = tmp_path_factory.mktemp("shell")
    for split, path in registry.get("sample", "fashion-mnist").build().items():
        pq.write_table(pq.read_table(path).slice(0, 300), here / f"{split}.parquet")
    (here / "shoes.yaml").write_text(YAML)
    return here


def sparknn(folder, *words, fails=False):
    program = str(Path(sys.executable).with_name("sparknn"))
    env = os.environ | {"MASTER": "local[2]"}
    done = subprocess.run([program, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, done.stderr[-3000:]
    return done


def test_train_predict_evaluate_show(folder):
    plan = sparknn(folder, "train", "shoes.yaml", "--dry-run", "model=mlp").stdout
    assert "dry run of shoes: image-classification" in plan
    assert not (folder / "models").exists()
    done = sparknn(folder, "train", "shoes.yaml", "train.epochs=2")
    assert "epoch   2 of 2" in done.stderr
    assert "shoes: image-classification" in done.stdout
    assert str(folder) not in done.stdout
    assert "300 rows in scored" in sparknn(folder, "predict", "models/shoes", "test.parquet", "--into", "scored").stdout
    again = sparknn(folder, "predict", "models/shoes", "test.parquet", "--into", "scored", fails=True)
    assert again.stderr.strip().endswith("--overwrite replaces it.")
    assert "accuracy" in sparknn(folder, "evaluate", "models/shoes").stdout
    assert "lenet5" in sparknn(folder, "show", "models/shoes").stdout


def test_the_card_of_a_real_model_runs_as_written(folder):
    from sparknn_magic.show.card import code_block

    model = folder / "models" / "shoes"
    if not model.exists():
        sparknn(folder, "train", "shoes.yaml")
    code = code_block((model / "README.md").read_text())
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    names = [word.split('"')[0] for word in code.split('Image.open("')[1:]]
    picture = pq.read_table(folder / "test.parquet")["image"][0].as_py()
    for name in names:
        Image.open(io.BytesIO(picture)).save(model / name)
    done = subprocess.run([sys.executable, "-c", code], cwd=model, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_zoo_and_help(folder):
    zoo = sparknn(folder, "zoo", "image-classification").stdout
    for name in ("mlp", "lenet5", "vgg-small", "resnet56", "resnet9", "resnet50", "convnext-atto", "vit-tiny"):
        assert name in zoo
    assert "width" in sparknn(folder, "help", "resnet18").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "error: there is no command 'trian'. Did you mean 'train'?"),
        (["train"], "error: the following arguments are required: file.\n"),
        (["evaluate"], "error: the following arguments are required: model.\n"),
        (["train", "none.yaml"], "error: there is no file 'none.yaml'."),
        (["show", "models/none"], "error: there is no model in 'models/none' (no bundle.json)."),
        (["help", "resnet81"], "error: there is no plugin named 'resnet81'. Did you mean 'resnet18'?"),
    ],
)
def test_errors_are_one_or_two_lines(folder, words, said):
    done = sparknn(folder, *words, fails=True)
    assert done.stderr.startswith(said)
    assert len(done.stderr.strip().splitlines()) <= 2
    assert done.stdout == ""
