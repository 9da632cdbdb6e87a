"""What an executor needs to score rows, and the shape of what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sparknn_magic.plugin import Part

if TYPE_CHECKING:
    import numpy as np

MODES = ("permissive", "dropmalformed", "failfast")
PREDICTION = "struct<label:string,score:float,probabilities:array<float>,error:string>"
SEVERAL = "struct<label:string,score:float,probabilities:array<float>,error:string,labels:array<string>>"
ENTITIES = "struct<entities:array<struct<start:int,end:int,label:string,text:string,score:float>>,error:string>"
OBJECT = "struct<label:string,score:float,box:struct<x1:float,y1:float,x2:float,y2:float>>"
DETECTION = f"struct<objects:array<{OBJECT}>,error:string>"
DETECTED = ("boxes", "scores", "labels", "count")  # what a detector's model file gives
NUMBER = "struct<prediction:double,error:string>"
EMBEDDING = "struct<embedding:array<float>,error:string>"
FEATURES = "array<float>"


class Readable(Protocol):
    """What a reader makes of n rows."""

    @property
    def inputs(self) -> "Mapping[str, np.ndarray]":
        """Arrays of the readable rows by the names of the model file's inputs."""

    @property
    def rows(self) -> "np.ndarray":
        """int64[readable]: the positions of the readable rows, ascending."""

    @property
    def errors(self) -> list[str | None]:
        """One for each of the n rows: None where it was read, else a short reason."""


@dataclass(frozen=True, slots=True)
class InferJob:
    """One model and how to run it; all of it plain values."""

    digest: str  # sha256 of the model file, the executor's cache key
    read: Part  # builds a function of an Arrow array for each input column to `Readable`
    write: Part  # builds a function of the network's outputs to an Arrow array of predictions
    result: str = PREDICTION  # the type of a prediction, as Spark writes it
    outputs: tuple[str, ...] = ("probabilities", "index")  # of the model file, that are computed
    providers: tuple[str, ...] = ("auto",)  # ONNX Runtime's, in order of preference; "auto": CUDA where it is, else CPU
    threads: int = 0  # for one session; 0: the cores of a task, which `spark.model_udf` puts here
    batch_size: int = 0  # rows in one call of the network; 0: by the size of the pictures, see `worker.micro_batch`
    columns: int = 1  # input columns
    # Options of the reader that are files of the model folder: (option, name there), of which `spark.model_udf` makes
    # the names under which executors find them beside the model file.
    files: tuple[tuple[str, str], ...] = ()
    path: str = ""  # the name under which an executor finds the file, which `spark.model_udf` puts here
    mode: str = "permissive"  # or "failfast": a row that cannot be scored is an error
