"""The catalogue's table of architectures, made from the plugins themselves.

python -m tests.zoo.architectures_table        # prints it
python -m tests.zoo.architectures_table write  # puts it into zoo/README.md
"""

import sys
from pathlib import Path

from sparknn_magic import registry
from sparknn_magic.plugin import ImageInputs, Item, VectorInputs
from sparknn_magic.show.catalogue import options_of
from sparknn_magic.show.words import value_text

README = Path(__file__).parents[2] / "zoo" / "README.md"
BEGIN, END = "<!-- architectures: begin -->\n", "<!-- architectures: end -->"
ABOUT = """\
All in plain PyTorch. *Published*: what the paper, or its reference code, gives for the input, the outputs and the
options named; a test builds that network and counts.

"""
PICTURES = """\
For `image-classification`: greyscale and colour, any size that a network can take; a size that it cannot take is an
error that names the least it can. *Parameters*: for 10 classes at 3x32x32, default options.

"""
VECTORS = """\
For `vector-classification` and `vector-regression`: any numeric and categorical columns. *Parameters*: for one number
learnt from 8 numbers and a one-hot category of 10 values, default options.

"""
HEAD = ["| name | options | parameters | published | source |", "| --- | --- | --- | --- | --- |"]


def table() -> str:
    """Return the paragraphs and the tables, as they stand between the marks."""
    items = [registry.get("architecture", name) for name in registry.names("architecture")]
    ours = [item for item in items if item.ref.startswith("sparknn_zoo.")]
    pictures = [_row(i, ImageInputs(3, 32, 32), 10) for i in ours if i.serves("image-classification")]
    vectors = [_row(i, VectorInputs(8, (11,), (0,)), 1) for i in ours if i.serves("vector-regression")]
    return "\n".join([ABOUT + PICTURES + HEAD[0], HEAD[1], *pictures, "", VECTORS + HEAD[0], HEAD[1], *vectors]) + "\n"


def _row(item: Item, inputs: ImageInputs | VectorInputs, outputs: int) -> str:
    count = sum(p.numel() for p in item.build(inputs, outputs).parameters())
    options = ", ".join(f"`{o.name}` {value_text(o.default)}" for o in options_of(item))
    return f"| `{item.name}` | {options} | {count:,} | {_published(item.notes)} | {item.source} |"


def _published(notes: dict) -> str:
    if "parameters" not in notes:
        return ""
    at = dict(notes["at"])
    outputs = at.pop("outputs")
    if "numbers" in at:
        size = [f"{at.pop('numbers')} numbers", f"{outputs} output{'s' * (outputs != 1)}"]
    else:
        size = [f"{at.pop('channels')}x{at.pop('height')}x{at.pop('width')}", f"{outputs} classes"]
    options = [f"{key} {value}" for key, value in at.items()]
    return f"{notes['parameters']:,} ({', '.join([*size, *options])})"


def main() -> None:
    """Print the table, or write it."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    if sys.argv[1:] == ["write"]:
        README.write_text(before + BEGIN + table() + END + rest.split(END)[1])
    else:
        print(table())


if __name__ == "__main__":
    main()
