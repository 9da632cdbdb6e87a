"""Completion in a cell, as IPython asks for it: the first keystroke of a fresh interpreter, and those after it.

python -m tests.benchmarks.bench_completion
"""

import argparse
import json
import subprocess
import sys
from statistics import median

CODE = """
import json, sys, time, warnings
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "sparknn_magic")
HEAD = "%%sparknn train m\\ntask: image-classification\\n"
CELLS = [HEAD + text for text in (
    "model: res", "model:\\n  resnet18: {", "train:\\n  ", "train: {optimizer: ad", "preprocess:\\n- ", "data:\\n  ",
    "model:\\n- conv2d: 32\\n- ", "data: {train: SELECT image, label FROM products}\\nmetrics:\\n  lost: sum(",
)]
def seconds(cell):
    started = time.perf_counter()
    with provisionalcompleter():
        list(shell.Completer.completions(cell, len(cell)))
    return time.perf_counter() - started
first = seconds(CELLS[0])
second = [seconds(cell) for cell in CELLS]
warm = [seconds(cell) for _ in range(10) for cell in CELLS]
print(json.dumps([first, max(second), warm, sorted({"torch", "pyspark"} & set(sys.modules))]))
"""


def main() -> None:
    """Print the medians over several interpreters, and the slowest of all."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    runs = options.parse_args().runs
    found = []
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    warm = [1000 * seconds for run in found for seconds in run[2]]
    print(f"completion in a cell of %%sparknn train, 8 places, {runs} fresh interpreters")
    first, second = median(run[0] for run in found), 1000 * max(run[1] for run in found)
    print(f"  the very first: median {first:.2f} s; each place for the first time: at most {second:.0f} ms")
    print(f"  after that: median {median(warm):.1f} ms, at most {max(warm):.0f} ms")
    print(f"  imported on the way of torch and pyspark: {found[0][3] or 'neither'}")


if __name__ == "__main__":
    main()
