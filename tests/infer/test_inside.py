"""A model inside the function: its files on the machine that runs it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparknn_magic.infer.inside import unpacked

FILES = {"model.onnx": b"graph" * 100_000, "model.onnx.data": b"weights"}


def test_all_workers_of_an_executor_share_one_copy_below_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},/elsewhere")
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: unpacked("abc", FILES), range(16)))
    (path,) = map(Path, paths)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == FILES
    assert list(tmp_path.iterdir()) == [path.parent]
