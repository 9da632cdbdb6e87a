"""What a cell defines with a decorator is found by its name, and travels by value; its digest is that of its code."""

NET = """
from torch import nn

from sparknn_magic.plugin import ImageInputs, architecture

HIDDEN = 4


class Net(nn.Module):
    def __init__(self, inputs, outputs, width):
        super().__init__()
        self.head = nn.Linear(inputs.channels, outputs + width)

    def forward(self, x):
        return scaled(self.head(x.mean((2, 3))))


def scaled(x):
    return x * HIDDEN


@architecture("tiny", task="image-classification", source="Me 2026")
def tiny(inputs, outputs, *, width: int = 0):
    '''float32[B, C, H, W] -> float32[B, outputs].

    width: outputs beside those.
    '''
    return Net(inputs, outputs, width)
"""


def test_a_decorated_function_of_the_notebook_is_found_by_its_name(run_script):
    done = run_script(
        NET
        + """
from sparknn_magic import registry
from sparknn_magic.show.catalogue import item_help
from sparknn_magic.show.zoo_listing import zoo
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

cell = "task: image-classification\\ndata: {train: t}\\nmodel: {tiny: {width: 2}}"
resolved = resolve(Experiment.parse(cell))
print(resolved.model.options, resolved.model.part.ref, resolved.model.part.code is not None)
print("this notebook" in repr(zoo("architectures")), "width" in item_help(registry.find("tiny")))
print([item.name for item in registry.select("notebook")[0]])
first = registry.get("architecture", "tiny")


@architecture("tiny", task="image-classification", source="Me, later")
def tiny(inputs, outputs):
    '''float32[B, C, H, W] -> float32[B, outputs].'''


print(registry.get("architecture", "notebook:tiny").source)
del tiny
try:
    registry.get("architecture", "tiny")
except Exception as error:
    print(type(error).__name__)


@architecture("resnet18", task="image-classification", source="Me")
def mine(inputs, outputs):
    '''float32[B, C, H, W] -> float32[B, outputs].'''


try:
    registry.get("architecture", "resnet18")
except Exception as error:
    print(error)
"""
    )
    assert done.stdout.splitlines() == [
        "{'width': 2} __main__:tiny True",
        "True True",
        "['tiny']",
        "Me, later",
        "UnknownName",
        "the architecture 'resnet18' is claimed by notebook (__main__:mine) and sparknn-magic "
        "(sparknn_zoo.vision.resnet:resnet18).",
        "Write 'notebook:resnet18' or 'sparknn-magic:resnet18' to choose one.",
    ]


def test_another_process_builds_it_from_the_part_alone(run_script, tmp_path):
    file = tmp_path / "part"
    run_script(
        NET
        + f"""
import pickle, pathlib
from sparknn_magic import registry, shipping
part = shipping.part_of(registry.get("architecture", "tiny"), {{"width": 1}})
pathlib.Path({str(file)!r}).write_bytes(pickle.dumps(part))
"""
    )
    done = run_script(
        f"""
import pickle, pathlib, torch
from sparknn_magic.plugin import ImageInputs
part = pickle.loads(pathlib.Path({str(file)!r}).read_bytes())
print(part.build(ImageInputs(3, 4, 4), 2)(torch.zeros(5, 3, 4, 4)).shape)
"""
    )
    assert done.stdout.strip() == "torch.Size([5, 3])"


def test_the_digest_changes_with_the_code_and_with_nothing_else(run_script):
    done = run_script(
        NET
        + """
import sys
from sparknn_magic import registry, shipping

def digest():
    return shipping.digest(registry.get("architecture", "tiny"))

first = digest()
source = open(sys.argv[0]).read().split("import sys")[0]
exec(compile("\\n\\n# moved down\\n" + source, "other cell", "exec"), globals())
print("run again", digest() == first)
for what, old, new in [
    ("a helper", "x * HIDDEN", "x + HIDDEN"),
    ("a class", "x.mean((2, 3))", "x.amax((2, 3))"),
    ("a constant", "HIDDEN = 4", "HIDDEN = 5"),
    ("a default", "width: int = 0", "width: int = 1"),
]:
    exec(compile(source.replace(old, new), "changed", "exec"), globals())
    print(what, digest() == first)
"""
    )
    assert done.stdout.splitlines() == [
        "run again True",
        "a helper False",
        "a class False",
        "a constant False",
        "a default False",
    ]


def test_a_function_of_a_file_beside_the_notebook_is_found_and_sent_too(run_script, tmp_path):
    (tmp_path / "beside.py").write_text(NET)
    file = tmp_path / "part"
    run_script(
        f"""
import pickle, pathlib
from beside import tiny
from sparknn_magic import registry, shipping
part = shipping.part_of(registry.get("architecture", "tiny"), {{}})
print(part.ref)
pathlib.Path({str(file)!r}).write_bytes(pickle.dumps(part))
"""
    )
    (tmp_path / "beside.py").unlink()
    done = run_script(
        f"""
import pickle, pathlib, sys
from sparknn_magic.plugin import ImageInputs
part = pickle.loads(pathlib.Path({str(file)!r}).read_bytes())
print(part.build(ImageInputs(3, 4, 4), 2).head.out_features, "beside" in sys.modules)
"""
    )
    assert done.stdout.strip() == "2 False"


def test_what_cannot_be_sent_is_said_with_its_reason(run_script):
    done = run_script(
        """
import threading
from sparknn_magic import registry, shipping
from sparknn_magic.plugin import preprocessor

lock = threading.Lock()

@preprocessor("locked")
def locked():
    return lambda image: lock and image

try:
    shipping.part_of(registry.get("preprocessor", "locked"), {})
except Exception as error:
    print(error)
"""
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("the preprocessor 'locked' of this notebook cannot be sent to executors: ")
    assert "lock" in first
    assert second.startswith("It uses a variable that cannot be pickled")


def test_a_part_of_a_notebooks_function_is_its_digest_in_every_fingerprint(run_script):
    done = run_script(
        NET
        + """
import dataclasses, json
from sparknn_magic import registry, shipping
part = shipping.part_of(registry.get("architecture", "tiny"), {})
plain = json.loads(json.dumps(dataclasses.asdict(part), default=str))
print(plain["code"] == f"Code({shipping.digest(registry.get('architecture', 'tiny'))})")
print(shipping.describe(registry.get("architecture", "tiny"), part).keys())
"""
    )
    assert done.stdout.splitlines() == ["True", "dict_keys(['name', 'package', 'ref', 'options', 'code'])"]
