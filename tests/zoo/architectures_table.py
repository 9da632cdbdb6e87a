"""The catalogue's table of architectures, made from the plugins themselves.

python -m tests.zoo.architectures_table        # prints it
python -m tests.zoo.architectures_table write  # puts it into zoo/README.md
"""

import sys
from pathlib import Path

from sparknn_magic import registry
from sparknn_magic.plugin import ImageInputs
from sparknn_magic.show.catalogue import options_of
from sparknn_magic.show.words import value_text

README = Path(__file__).parents[2] / "zoo" / "README.md"
BEGIN, END = "<!-- architectures: begin -->\n", "<!-- architectures: end -->"
SMALL = ImageInputs(channels=3, height=32, width=32)
ABOUT = """\
All for `image-classification`, in plain PyTorch, for greyscale and colour, at any size that a network can take; a size
that it cannot take is an error that names the least it can. *Parameters*: for 10 classes at 3x32x32, default options.
*Published*: what the paper, or its reference code, gives for channels x height x width, classes and the options named;
a test builds that network and counts.

"""


def table() -> str:
    """Return the paragraph and the table, as they stand between the marks."""
    lines = ["| name | options | parameters | published | source |", "| --- | --- | --- | --- | --- |"]
    for name in registry.names("architecture"):
        item = registry.get("architecture", name)
        if not item.ref.startswith("sparknn_zoo."):
            continue
        count = sum(p.numel() for p in item.build(SMALL, 10).parameters())
        options = ", ".join(f"`{o.name}` {value_text(o.default)}" for o in options_of(item))
        lines.append(f"| `{name}` | {options} | {count:,} | {_published(item.notes)} | {item.source} |")
    return ABOUT + "\n".join(lines) + "\n"


def _published(notes: dict) -> str:
    if "parameters" not in notes:
        return ""
    at = notes["at"]
    options = [f"{key} {value}" for key, value in at.items() if key not in ("channels", "height", "width", "outputs")]
    size = [f"{at['channels']}x{at['height']}x{at['width']}", f"{at['outputs']} classes", *options]
    return f"{notes['parameters']:,} ({', '.join(size)})"


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
