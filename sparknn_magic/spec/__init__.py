"""Cell text -> frozen models -> resolved objects; line numbers in every error."""

from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import ColumnSplit, DataSpec, Fraction, Source, Step
from sparknn_magic.spec.training import TrainSpec

__all__ = ["ColumnSplit", "DataSpec", "Experiment", "Fraction", "Source", "Step", "TrainSpec"]
