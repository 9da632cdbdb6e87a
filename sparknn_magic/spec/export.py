"""What stands under `export:`: a folder, or a folder and what else is written there."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sparknn_magic.spec.models import Spec, Text, wrong


class Export(Spec):
    """Where the model goes, and in which files."""

    folder: Text | None = Field(
        default=None, description="folder that the model is written to; NAME in the models folder where not given"
    )
    tokenizer_in_graph: bool = Field(
        default=False, description="write a second file, model_strings.onnx, that takes texts instead of token ids"
    )

    def to_plain(self) -> Any:
        """Return the folder alone where there is nothing else to say."""
        plain = super().to_plain()
        if not self.tokenizer_in_graph:
            del plain["tokenizer_in_graph"]
        return plain["folder"] if list(plain) == ["folder"] else plain


def read_export(value: Any) -> Any:
    """Turn a bare folder into the mapping that `Export` is read from."""
    if isinstance(value, str) and value:
        return {"folder": value}
    if isinstance(value, Export | Mapping):
        return value
    raise wrong("{path} must be a folder, or keys with their values such as `folder: models/m`, not {value}.")


AnExport = Annotated[Export, BeforeValidator(read_export)]
