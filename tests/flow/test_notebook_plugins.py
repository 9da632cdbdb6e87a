"""Plugins that the notebook (here: the script) defines itself: trained with on executors, used again later."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

START = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})

from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn

import sparknn_magic
from sparknn_magic.plugin import architecture, augmentation, layer, loss, optimizer, preprocessor, schedule
from sparknn_magic.sessions import session
from tests.flow.small import views

spark = session()
views(spark, 120, 40)

STRENGTH = 1.0


@preprocessor("negative", source="Me")
def negative():
    '''Picture -> its negative.'''
    return lambda image: ImageOps.invert(image)
"""

TRAIN = """
class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(inputs.height * inputs.width, outputs)

    def forward(self, x):
        return self.head(x.flatten(1)) * STRENGTH


@architecture("mine", task="image-classification", source="Me")
def mine(inputs, outputs):
    '''float32[B, C, H, W] -> float32[B, outputs].'''
    return Net(inputs, outputs)


@layer("twice", source="Me")
def twice(shape):
    '''any shape -> the same.'''
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x
    return Twice()


@augmentation("flip", source="Me")
def flip():
    '''float32[N, C, H, W] -> the same shape.'''
    return lambda images: images.flip(-1) if torch.rand(()) > 0.5 else images


@loss("ours", task="image-classification", source="Me")
def ours():
    '''(float32[N, K], int64[N]) -> float32[N].'''
    return lambda outputs, target: F.cross_entropy(outputs, target, reduction="none")


@optimizer("steps", source="Me")
def steps(parameters, *, lr: float = 0.05):
    '''Plain steps.

    lr: rate.
    '''
    return torch.optim.SGD(parameters, lr=lr)


@schedule("flat", source="Me")
def flat(steps, epoch_steps):
    '''Step number -> 1.'''
    return lambda step: 1.0


CELL = '''
task: image-classification
data: {train: products, validation: 20%, test: products_test}
augment: [flip]
model: MODEL
loss: ours
train: {epochs: 2, batch_size: 16, optimizer: steps, schedule: flat, workers: 2}
'''
quiet = {"spark": spark, "on_event": lambda event: None}
with_code = sparknn_magic.train(CELL.replace("MODEL", "mine") + "preprocess: [negative]\\nexport: with_code", **quiet)
print(with_code.meta["preprocess"][0]["name"], len(with_code.meta["preprocess"][0]["code"]))
print(with_code.predict("products_test").where("prediction.error IS NULL").count())
first = with_code.meta["training"]["fingerprint"]
STRENGTH = 0.5
graph_only = sparknn_magic.train(CELL.replace("MODEL", "[twice, flatten, dense]") + "export: graph_only", **quiet)
again = sparknn_magic.train(CELL.replace("MODEL", "mine") + "preprocess: [negative]\\nexport: again", **quiet)
print(again.meta["training"]["fingerprint"] == first)
files = [file for model in (with_code, graph_only) for file in model.folder.iterdir()]
print(any(b"cloudpickle" in file.read_bytes() for file in files))
"""

AFTER = """
graph_only = sparknn_magic.load("graph_only", spark=spark)
print(graph_only.predict("products_test").where("prediction.error IS NULL").count())
print(spark.sql("SELECT count(model(image).label) AS n FROM products_test").collect()[0].n)
print(graph_only.evaluate()["rows"])
with_code = sparknn_magic.load("with_code", spark=spark)
print(with_code.predict("products_test").where("prediction.error IS NULL").count())


@preprocessor("negative", source="Me")
def negative():
    '''Picture -> another picture.'''
    return lambda image: image.rotate(180)


for _ in range(2):
    try:
        with_code.predict("products_test")
    except Exception as error:
        print(error)
    if "negative" in globals():
        del negative
"""


def test_a_script_trains_with_what_it_defines_and_another_uses_the_model(run_script):
    environment = {"PYSPARK_PYTHON": sys.executable}
    done = run_script(START + TRAIN, env=environment, timeout=580)
    assert done.stdout.splitlines()[-4:] == ["negative 21", "40", "False", "False"]
    done = run_script(START + AFTER, env=environment, timeout=580)
    assert done.stdout.splitlines()[-8:] == [
        "40",
        "40",
        "40",
        "40",
        "the preprocessor 'negative' of this notebook is not the one that the model was trained with.",
        "Run the cell that defines it as it was then, or train again.",
        "the model needs the preprocessor 'negative', which was defined in the notebook that trained it.",
        "Run the cell that defines it first, or put it into a package.",
    ]
