"""What an executor needs to score rows, and the shape of what it gives back."""

from dataclasses import dataclass

from sparknn_magic.plugin import Part

MODES = ("permissive", "dropmalformed", "failfast")
PREDICTION = "struct<label:string,score:float,probabilities:array<float>,error:string>"


@dataclass(frozen=True, slots=True)
class InferJob:
    """One model and how to run it; all of it plain values."""

    digest: str  # sha256 of the model file, the executor's cache key
    read: Part  # builds a function of an Arrow array to `data.worker.Pictures`
    write: Part  # builds a function of the network's outputs to an Arrow array of predictions
    providers: tuple[str, ...] = ("auto",)  # ONNX Runtime's, in order of preference; "auto": CUDA where it is, else CPU
    threads: int = 0  # for one session; 0: the cores of a task, which `spark.model_udf` puts here
    batch_size: int = 0  # rows in one call of the network; 0: by the size of the pictures, see `worker.micro_batch`
    path: str = ""  # the name under which an executor finds the file, which `spark.model_udf` puts here
    mode: str = "permissive"  # or "failfast": a row that cannot be scored is an error
