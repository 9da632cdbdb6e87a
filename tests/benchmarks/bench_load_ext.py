"""`%load_ext sparknn_magic` in a fresh interpreter: seconds, and whether torch or pyspark came along.

python -m tests.benchmarks.bench_load_ext
"""

import argparse
import json
import subprocess
import sys
from statistics import median

CODE = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
started = time.perf_counter()
shell.run_line_magic("load_ext", "sparknn_magic")
seconds = time.perf_counter() - started
print(json.dumps([seconds, "torch" in sys.modules, "pyspark" in sys.modules]))
"""


def main() -> None:
    """Print the median, the fastest and the slowest of several interpreters."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=7)
    runs = options.parse_args().runs
    found = []
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = [f[0] for f in found]
    print(f"%load_ext sparknn_magic, {runs} fresh interpreters")
    print(f"  seconds: median {median(seconds):.3f}, fastest {min(seconds):.3f}, slowest {max(seconds):.3f}")
    print(f"  torch imported: {any(f[1] for f in found)}, pyspark imported: {any(f[2] for f in found)}")


if __name__ == "__main__":
    main()
