"""The files of a function on the machine that runs it: brought by Spark, or inside the function. Runs on executors."""

import os
import shutil
import tempfile
from collections.abc import Mapping
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
    """Return the path of `model.onnx` in a folder with these files; written once for all workers of an executor.

    It lies below the executor's own folder, which Spark removes: a Python worker is ended without a chance to.
    """
    root = os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0]
    folder = Path(root, f"sparknn-model-{digest}")
    if not folder.exists():
        part = Path(tempfile.mkdtemp(prefix="sparknn-model-", dir=root))
        for name, data in files.items():
            (part / name).write_bytes(data)
        try:
            part.rename(folder)  # it is there whole or not at all
        except OSError:
            shutil.rmtree(part)
            if not folder.exists():
                raise
    return str(folder / "model.onnx")
