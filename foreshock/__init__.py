"""foreshock turns sensor readings into early warnings, and labelled series into classifiers."""

__version__ = "0.1.0"
