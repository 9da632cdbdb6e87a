"""sparknn-magic: train and run neural networks on Apache Spark from one notebook cell."""

__version__ = "0.1.0"
