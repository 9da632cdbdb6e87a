"""The same preparation through a Spark Connect client."""

SCRIPT = """
import sys
sys.path.insert(0, {root!r})

from pathlib import Path

import pandas as pd

from sparknn_magic.data.spark import TRAIN, inspect, prepare, sample_rows
from sparknn_magic.errors import SparkNNError
from sparknn_magic.sessions import adopt
from tests.data.rows import SCHEMA, lay_out, png, rows

adopt(spark)
assert type(spark).__module__.startswith("pyspark.sql.connect")

def both(data, variables=None, more=""):
    first, second = (prepare(lay_out(spark, data, variables, more), "prepared") for _ in range(2))
    print(first.reused, second.reused, first.classes, first.rows, [d["rows"] for d in first.dropped], first.inputs)
    return second

frame = spark.createDataFrame([*rows(30), (99, b"text", "cat")], SCHEMA)
prepared = both("train: products\\nvalidation: null", {{"products": frame}})
images, labels = sample_rows(prepared, spark, TRAIN, 100)
print(images.shape, round(images.mean() / 255 - prepared.mean[0], 12), images.std() / 255 - prepared.std[0] < 1e-9)

frame.coalesce(1).write.parquet(str(Path("rows").absolute()))
both("train: ./rows\\nvalidation: 20%", more="preprocess: [{{resize: 8}}, rgb]")

for i in range(8):
    folder = Path("my photos", "ab"[i % 2] + " %20ü")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{{i}}.PNG").write_bytes(png(i))
both("train: ./my photos\\nvalidation: null")

frame.createOrReplaceTempView("products")
query = "train: {{sql: 'SELECT * FROM products WHERE id < :n', params: {{n: 20}}}}\\nvalidation: {{column: id, is: 3}}"
print(inspect(lay_out(spark, query)).rows)

for data in (
    "train: prodcts",
    "train: SELECT imag FROM products",
    "train: ./nowhere",
    "train: SELECT image, string(1 / id) AS label FROM products\\nvalidation: null",
    "train: pandas",
):
    try:
        inspect(lay_out(spark, data, {{"pandas": pd.DataFrame()}}))
    except SparkNNError as error:
        print(str(error).splitlines()[0])

from sparknn_magic import shelf_scenes
from sparknn_magic.data.boxes import spark as boxes
from tests.data import scenes

def boxed(data, variables=None):
    plan = scenes.lay_out(spark, data + "\\nvalidation: null", variables, "preprocess: [{{letterbox: 64}}]")
    found = boxes.prepare(plan, "prepared")
    print(found.rows, found.boxes["boxes"], boxes.prepare(plan, "prepared").reused, found.notes)

rows = shelf_scenes(spark, rows=3)
boxed("train: rows", {{"rows": rows}})
print(rows.selectExpr("sum(size(boxes))").collect()[0][0])
for name, text in (("labels/a.txt", "0 0.5 0.5 0.5 0.5"), ("labels/b.txt", "what"), ("classes.txt", "cat")):
    path = Path("yolo", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
for name in "abc":
    Path("yolo", name + ".png").write_bytes(scenes.picture())
boxed("train: {{yolo: ./yolo}}")
coco = '{{"images": [{{"id": 1, "file_name": "a.png"}}], "categories": [{{"id": 1, "name": "cat"}}], "annotations": '
Path("yolo/coco.json").write_text(coco + '[{{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}}]}}')
boxed("train: {{coco: yolo/coco.json}}")
"""


def test_a_connect_client_prepares_every_kind_of_source(run_script, request):
    done = run_script(SCRIPT.format(root=str(request.config.rootpath)), connect=True)
    lines = done.stdout.splitlines()
    assert lines[:6] == [
        "False True ('cat', 'dog') {'train': 30, 'validation': 0} [1] ImageInputs(channels=1, height=4, width=5)",
        "(30, 4, 5, 1) 0.0 True",
        "False True ('cat', 'dog') {'train': 25, 'validation': 5} [1] ImageInputs(channels=3, height=8, width=8)",
        "False True ('a %20ü', 'b %20ü') {'train': 8, 'validation': 0} [] ImageInputs(channels=1, height=4, width=5)",
        "{'train': 19, 'validation': 1, 'test': 0}",
        "line 3, column 10: there is no table, view or DataFrame named 'prodcts'. Did you mean 'products'?",
    ]
    assert "`imag` cannot be resolved" in lines[6]
    assert lines[7] == "line 3, column 10: there is no file or folder './nowhere'."
    assert lines[8].startswith("line 3, column 10: the rows cannot be prepared: Division by zero.")
    assert lines[9] == "line 3, column 10: pandas is a pandas DataFrame, not a Spark DataFrame."
    assert lines[10] == f"{{'train': 3, 'validation': 0}} {lines[11]} True []"
    assert lines[12] == (
        "{'train': 2, 'validation': 0} 1 True [\"data.train: 1 annotation file cannot be read, left out with the "
        "pictures, such as that of 'b.png': line 1 has 1 value; a box is: class x y width height.\"]"
    )
    assert lines[13:] == ["{'train': 1, 'validation': 0} 1 True []"]
