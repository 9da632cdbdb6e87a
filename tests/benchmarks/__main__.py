"""`make bench`: every benchmark, one after the other, each in a process of its own."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run them all; return 0 when all have ended well."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    failed = [name for name in names if subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"]).returncode]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
