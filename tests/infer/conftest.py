from pathlib import Path

import pytest

from tests.infer.models import write_model


@pytest.fixture(scope="session")
def model_file(tmp_path_factory) -> Path:
    """The tiny classifier of `tests.infer.models`, for pictures of 4x5."""
    return write_model(tmp_path_factory.mktemp("model"))
