"""The files of a function on the machine that runs it: brought by Spark, or inside the function. Runs on executors."""

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from sparknn_magic.errors import InferenceError


def arrived(path: str) -> str:
    """Return the path of a file that Spark brings. Raises: InferenceError where it is not there."""
    if not Path(path).is_file():
        raise InferenceError(
            "the model's file has not reached this worker.",
            hint="Streams of a Spark Connect session get no files: for them take model.predict(stream) or "
            "%%sparknn predict --stream, where the model travels in the query.",
        )
    return path


def unpacked(digest: str, files: Mapping[str, bytes]) -> str:
    """Return the path of `model.onnx` in a folder with these files; written once for each Python worker."""
    if digest not in _folders():
        _folders()[digest] = folder = tempfile.mkdtemp(prefix="sparknn-model-")
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
    return str(Path(_folders()[digest], "model.onnx"))


@cache
def _folders() -> dict[str, str]:
    """Return the folders that were made, by digest; they go when the worker ends."""
    made: dict[str, str] = {}

    def remove() -> None:
        for folder in made.values():
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return made
