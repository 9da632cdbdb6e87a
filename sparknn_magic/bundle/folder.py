"""The model folder: written whole under a temporary name and renamed, read only when every file has its checksum."""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sparknn_magic.errors import BundleError, nearest
from sparknn_magic.settings import settings

FORMAT = 1
META, MODEL, WEIGHTS, CARD = "bundle.json", "model.onnx", "model.safetensors", "README.md"
TOKENIZER = "tokenizer.json"
STRINGS = "model_strings.onnx"  # takes texts; written on demand
PACKAGES = (
    "sparknn-magic",
    "pyspark",
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "numpy",
    "pillow",
    "kornia",
    "tokenizers",
)


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_target(folder: Path) -> None:
    """Raise BundleError where a bundle cannot be written to `folder`: a file, or a folder with other things in it."""
    if folder.is_file():
        raise BundleError(f"'{folder}' is a file; export needs a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / META).exists():
        raise BundleError(
            f"the folder '{folder}' holds other files and no model; nothing there is overwritten.",
            hint="Choose another folder for export.",
        )
    existing = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    if not os.access(existing, os.W_OK):
        raise BundleError(f"'{existing}' cannot be written to.")


@contextlib.contextmanager
def new_bundle(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder` to fill; it takes that name when the block ends, or vanishes if it fails."""
    folder = folder.absolute()
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)
        _swap(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`. An older model steps aside first and comes back if that fails."""
    if not folder.exists():
        os.rename(partial, folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
    os.rename(folder, aside / folder.name)
    try:
        os.rename(partial, folder)
    except OSError:
        os.rename(aside / folder.name, folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_meta(folder: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """Add format, time, package versions and the checksum of every file in `folder`; write and return bundle.json."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != META}
    whole = {
        "format": FORMAT,
        **meta,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "size_bytes": (folder / MODEL).stat().st_size,
        "versions": versions(),
        "files": files,
    }
    (folder / META).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return whole


def versions() -> dict[str, str]:
    """Return the versions of the packages that made the model, and of Python."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # an extra that is not installed made nothing
            found[package] = version(package)
    return found


def _models_near(path: Path) -> list[Path]:
    """Return the models beside a folder, and for a bare name those where training leaves them."""
    folders = [path.parent] if len(path.parts) > 1 else [Path(settings().models), path.parent]
    return [p for folder in folders if folder.is_dir() for p in folder.iterdir() if (p / META).exists()]


def read_bundle(folder: str | Path) -> dict[str, Any]:
    """Return bundle.json after checking every file against it.

    Raises: BundleError where there is no model, it is of a newer format, or a file is missing or changed.
    """
    path = Path(folder)
    if not (path / META).is_file():
        known = {p.name: str(p) for p in _models_near(path)}
        match = nearest(path.name, known)
        guess = f" Did you mean '{known[match]}'?" if match else ""
        raise BundleError(f"there is no model in '{folder}' (no {META}).{guess}")
    try:
        meta = json.loads((path / META).read_text(encoding="utf-8"))
        form, files = meta["format"], meta["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"'{path / META}' is damaged: {type(error).__name__}: {error}.") from error
    if form > FORMAT:
        raise BundleError(
            f"'{folder}' is a model of format {form}; this version of sparknn-magic reads up to {FORMAT}.",
            hint="Upgrade sparknn-magic.",
        )
    for name, checksum in files:
        if Path(name).name != name:
            raise BundleError(f"'{path / META}' names a file outside its folder: {name!r}.")
        if not (path / name).is_file():
            raise BundleError(f"'{folder}' has no {name}: the model is incomplete.")
        if sha256(path / name) != checksum:
            raise BundleError(f"'{path / name}' has changed since it was written (its SHA-256 differs).")
    if MODEL not in meta["files"]:
        raise BundleError(f"'{path / META}' does not list {MODEL}.")
    return meta


def copy_bundle(source: Path, target: Path) -> None:
    """Copy a model folder; the copy appears whole or not at all."""
    with new_bundle(target) as partial:
        for name in [*read_bundle(source)["files"], META]:
            shutil.copy2(source / name, partial / name)
