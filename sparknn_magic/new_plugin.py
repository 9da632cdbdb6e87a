"""`sparknn new-plugin NAME`: the template package with a name put in."""

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from sparknn_magic.errors import SpecError

# The template's own name, in the three forms that stand in its files and paths.
DISTRIBUTION, PACKAGE, TITLE = "my-sparknn-plugin", "my_sparknn_plugin", "My sparknn plugin"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_LEFT_OUT = {"__pycache__", ".pytest_cache", ".ruff_cache", "build", "dist"}


def template() -> Path:
    """Return the template's folder: in an installed package beside this file, in a checkout `zoo/plugin_template`."""
    here = Path(__file__).parent
    return next(p for p in (here / "plugin_template", here.parent / "zoo" / "plugin_template") if p.is_dir())


def write_plugin(name: str, into: Path) -> Path:
    """Write the template to `into/NAME` with the name put in; return that folder.

    Raises: SpecError where the name cannot be a package's, is taken here, or the folder exists.
    """
    _check(name)
    folder = into / name
    if folder.exists():
        raise SpecError(
            f"'{folder}' exists already; nothing was written.", hint="Choose another name, or --into FOLDER."
        )
    words = {DISTRIBUTION: name, PACKAGE: name.replace("-", "_"), TITLE: name.replace("-", " ").replace("_", " ")}
    source = template()
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and not _LEFT_OUT.intersection(relative.parts) and path.suffix != ".pyc":
            target = folder / _put_in(str(relative), words)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_put_in(path.read_text(encoding="utf-8"), words), encoding="utf-8")
    return folder


def _put_in(text: str, words: dict[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 60:
        fixed = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        guess = f" Did you mean '{fixed}'?" if _NAME.fullmatch(fixed) and len(fixed) <= 60 else ""
        raise SpecError(
            f"'{name}' cannot name a package: use small letters, digits, - and _, and start with a letter.{guess}"
        )
    module = name.replace("-", "_")
    if iskeyword(module) or find_spec(module) is not None:
        raise SpecError(f"Python has a module or a word '{module}' already.", hint="Choose another name.")
    if _installed(name):
        raise SpecError(f"a package named '{name}' is installed already.", hint="Choose another name.")


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
