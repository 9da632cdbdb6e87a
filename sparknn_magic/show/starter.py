"""A cell to start from, for each task: sensible settings, and comments that say what else there is."""

import re

from sparknn_magic import registry

ROWS = "my_table"
NAME = "my_model"

_SPLITS = """\
  validation: 10%             # rows that choose the best epoch: a share, or a source of their own
  # test: {rows}_test         # rows that only the final figures are computed on: a share will do too"""
_TRAIN = """\
train:
  epochs: {epochs}
  batch_size: {batch_size}
  optimizer: {{adamw: {{lr: {lr}, weight_decay: 0.05}}}}
  schedule: one_cycle
  # workers: 2                # Spark tasks that train together; as many as there are slots where not given
  # early_stopping: 3         # epochs without improvement
  # time_limit: 10m"""
_SOURCE = "# SQL, a table or view, a DataFrame's name, or a Parquet path"

_IMAGES = f"""\
task: image-classification
data:
  train: {{rows}}             {_SOURCE}
{_SPLITS}
  # image: image              # the column of pictures: bytes, Spark's image struct, or arrays
  # label: label              # the column of classes
preprocess:
- resize: 32                  # every picture, in training and in each prediction
augment:                      # random changes to training pictures
- random_horizontal_flip
- random_crop: {{{{padding: 4}}}}
model:
  resnet9: {{{{width: 16}}}}  # `%sparknn zoo image-classification` lists the others
{{train}}
"""
_DETECTION = f"""\
task: object-detection
data:
  train: {{rows}}             {_SOURCE}
{_SPLITS}
  # image: image              # the column of pictures
  # boxes: boxes              # the column of boxes, array<array<number>>
  # labels: labels            # the column of their classes, array<string>
  # format: xyxy              # or xywh, cxcywh
  # units: pixels             # or fractions of the picture's sides
preprocess:
- letterbox: 320              # boxes move with the pixels
model: centernet              # `%sparknn zoo object-detection` lists the others
# train: {{{{epochs: 100}}}}  # a detector's usual settings are taken where nothing stands here
"""
_VECTORS = f"""\
task: {{task}}
data:
  train: {{rows}}             {_SOURCE}
{_SPLITS}
  label: label                # the column of {{learnt}}
  # features: [age, city]     # the columns that go in: all others where not given
  # categories: [zip]         # those of them that are categories though they are whole numbers
preprocess:
- fill_nulls: median
- standardize
# - embed: [city]             # a vector for each category that is learnt; else one_hot
model: {{{{mlp: {{{{width: 64}}}}}}}}
{{train}}
"""
_TEXTS = f"""\
task: text-classification
data:
  train: {{rows}}             {_SOURCE}
{_SPLITS}
  text: text                  # the column of texts, or two that are read as a pair: [question, answer]
  label: label                # the column of classes; an array of texts: any number of labels
preprocess:
- nfkc
- lowercase
# - mask_emails
# tokenizer: wordpiece        # the architecture's own where not given
model: fasttext               # or textcnn, bilstm, ...; minilm: {{{{pretrained: FOLDER}}}} starts from files
{{train}}
"""
_TOKENS = f"""\
task: token-classification
data:
  train: {{rows}}             {_SOURCE}
{_SPLITS}
  text: text                  # the column of texts
  label: label                # the column of spans, array<struct<start, end, label>>, or words with BIO tags
model: bilstm                 # `%sparknn zoo token-classification` lists the others
{{train}}
"""
_EMBEDDING = f"""\
task: text-embedding          # nothing is trained: the network is a pretrained one
data:
  train: {{rows}}             {_SOURCE}
  text: text                  # the column of texts
model:
  minilm: {{{{pretrained: sentence-transformers/all-MiniLM-L6-v2}}}}  # a hub id, or a folder
"""
_OTHER = f"""\
task: {{task}}
data:
  train: {{rows}}             {_SOURCE}
{_SPLITS}
{{model}}
{{train}}
"""
_CELLS = {
    "image-classification": _IMAGES,
    "object-detection": _DETECTION,
    "vector-classification": _VECTORS,
    "vector-regression": _VECTORS,
    "text-classification": _TEXTS,
    "token-classification": _TOKENS,
    "text-embedding": _EMBEDDING,
}
_SETTINGS = {"text-classification": (40, 16, "1e-2"), "token-classification": (20, 16, "3e-3")}
_LEARNT = {"vector-regression": "numbers"}


def starter(task: str, rows: str = ROWS) -> str:
    """Return the YAML of an experiment to start from, with comments; `rows` is its source of training rows.

    Raises: UnknownName where there is no such task.
    """
    name = registry.get("task", task).name
    epochs, batch_size, lr = _SETTINGS.get(name, (10, 64, "1e-2"))
    train = _TRAIN.format(epochs=epochs, batch_size=batch_size, lr=lr)
    model = "" if name in _CELLS else _model(name)
    learnt = _LEARNT.get(name, "classes")
    filled = _CELLS.get(name, _OTHER).format(task=name, rows="\0", train=train, model=model, learnt=learnt)
    text = filled.replace("\0_test", f"{rows}_test" if rows.isidentifier() else f"{ROWS}_test")
    return "\n".join(_aligned(line) for line in text.replace("\0", written(rows)).split("\n"))


def starter_cell(task: str, rows: str = ROWS, name: str = NAME) -> str:
    """Return the same as a notebook's cell. Raises: UnknownName where there is no such task."""
    return f"%%sparknn train {name}\n{starter(task, rows)}".rstrip()


def written(text: str) -> str:
    """Return a text as a cell writes it: in quotes where YAML would read something else."""
    if re.fullmatch(r"[A-Za-z_./][\w ./,*()=<>'+-]*", text) and text.strip() == text:
        return text
    return "'" + text.replace("'", "''") + "'"


def _model(task: str) -> str:
    """Return the lines of the first architecture that serves a task; of none, a list of layers."""
    items, _ = registry.load_all(["architecture"])
    name = next((item.name for item in items if item.serves(task) and not item.example), None)
    return f"model: {name}" if name else "model:\n- flatten\n- dense: 32\n- relu"


def _aligned(line: str) -> str:
    """Put a line's comment into the column of the others."""
    text, mark, comment = line.rpartition("  # ")
    if not mark or not text.strip():
        return line
    return f"{text.rstrip():<30}{'' if len(text.rstrip()) < 30 else '  '}# {comment.lstrip()}"
