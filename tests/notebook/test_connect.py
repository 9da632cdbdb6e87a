"""The same cells on a Spark Connect session."""

from pathlib import Path

ROOT = str(Path(__file__).parents[2])

SCRIPT = """
from IPython.core.interactiveshell import InteractiveShell
from tests.flow.small import CELL, views

views(spark)
shell = InteractiveShell.instance()
shell.user_ns["spark"] = spark

def run(cell):
    shell.run_cell(cell, store_history=True).raise_error()

run("%load_ext sparknn_magic")
run("%%sparknn train fashion train.epochs=1\\n" + CELL)
run("%%sparknn predict fashion --into scored\\nSELECT id, image FROM products_test")
print("rows", spark.table("scored").where("prediction.score > 0").count())
run("%sparknn evaluate fashion")
wrong = "%%sparknn predict fashion --into scored\\nSELECT id, image FROM product_test"
done = shell.run_cell(wrong, store_history=True)
print("error", str(done.error_in_exec).splitlines()[0])
"""


def test_train_predict_and_evaluate_on_a_connect_session(run_script):
    done = run_script(SCRIPT, connect=True, env={"PYTHONPATH": ROOT}, timeout=400)
    assert "\nrows 100\n" in done.stdout
    assert done.stdout.startswith("fashion: image-classification\n=====")
    assert "\nerror The table or view `product_test` cannot be found." in done.stdout
    assert "epoch   1 of 1: loss" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
