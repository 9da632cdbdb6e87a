"""The template: written by `sparknn new-plugin`, installed into an environment of its own, checked and used there."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from sparknn_magic.cli import main
from sparknn_magic.new_plugin import template

ROOT = Path(__file__).parents[1]

CELL = """
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "sparknn_magic")
shell.user_ns["rows"] = None
shell.run_cell(
    "from sparknn_magic import sample, session\\n"
    "spark = session()\\n"
    "sample('fashion-mnist', spark).limit(200).createOrReplaceTempView('rows')"
).raise_error()
cell = '''
task: image-classification
data: {train: rows, validation: 20%}
preprocess:
- acme_nets_solarize: 200
model:
  MODEL
loss: acme_nets_poly1
train: {epochs: 1, batch_size: 50, workers: 1}
'''
for name, model in {
    "whole": "acme_nets_mixer: {width: 8, depth: 1}",
    "layers": "[acme-nets:acme_nets_scale, flatten, dense]",
}.items():
    shell.run_cell_magic("sparknn", f"train {name} --runs runs", cell.replace("MODEL", model))
    found = shell.user_ns[name]
    print(name, found.meta["preprocess"][0]["package"], found.meta["parity"]["rows"] > 0)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An environment that sees this one's packages, with the plugin installed in it alone."""
    folder = tmp_path_factory.mktemp("template")
    assert main(["new-plugin", "acme-nets", "--into", str(folder)]) == 0
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    paths = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    # `addsitedir` and not the path alone: the editable install of this package is a .pth file too.
    outer = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(paths.strip()) / "outer.pth").write_text(outer)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--no-build-isolation", str(folder / "acme-nets")], check=True)
    return folder


def run(place, *words, **options):
    environment = {**os.environ, "PYSPARK_PYTHON": str(place / "venv" / "bin" / "python")}
    done = subprocess.run(
        [place / "venv" / "bin" / "python", *words],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_every_file_has_the_new_name_and_nothing_of_the_old_one(place):
    files = sorted(str(path.relative_to(place / "acme-nets")) for path in (place / "acme-nets").rglob("*.*"))
    assert [name for name in files if "egg-info" not in name and "build" not in name] == [
        "README.md",
        "pyproject.toml",
        "src/acme_nets/__init__.py",
        "src/acme_nets/mixer.py",
        "src/acme_nets/poly1.py",
        "src/acme_nets/scale.py",
        "src/acme_nets/solarize.py",
        "tests/test_plugins.py",
    ]
    text = "".join((place / "acme-nets" / name).read_text() for name in files if name.endswith((".py", ".md", ".toml")))
    assert "my_sparknn" not in text
    assert "my-sparknn" not in text
    assert "# acme nets\n" in text


def test_its_plugins_keep_to_their_contracts_and_its_own_tests_pass(place):
    said = run(place, "-m", "sparknn_magic.cli", "check", "acme-nets")
    assert said.splitlines()[-1] == "all 4 plugins of acme-nets keep to their contracts"
    run(place, "-m", "pytest", "-q", "-p", "no:cacheprovider", "acme-nets/tests")


def test_a_cell_uses_its_architecture_layer_preprocessor_and_loss(place):
    said = run(place, "-c", CELL)
    assert "whole acme-nets True" in said
    assert "layers acme-nets True" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme Nets", "'Acme Nets' cannot name a package: use small letters, digits, - and _, and start with a letter. "
         "Did you mean 'acme-nets'?"),
        ("json", "Python has a module or a word 'json' already."),
        ("class", "Python has a module or a word 'class' already."),
        ("../up", "'../up' cannot name a package"),
        ("sparknn-magic", "Python has a module or a word 'sparknn_magic' already."),
    ],
)  # fmt: skip
def test_a_name_that_no_package_can_have_is_refused(tmp_path, capsys, name, words):
    assert main(["new-plugin", name, "--into", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path, capsys):
    (tmp_path / "acme").mkdir()
    assert main(["new-plugin", "acme", "--into", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: '{tmp_path / 'acme'}' exists already; nothing was written.")
    assert list((tmp_path / "acme").iterdir()) == []


def test_the_template_is_in_the_wheel_where_an_installed_package_looks_for_it(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--no-index", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("sparknn_magic/plugin_template/")}
    assert inside == {
        f"sparknn_magic/plugin_template/{path.relative_to(template())}"
        for path in template().rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
