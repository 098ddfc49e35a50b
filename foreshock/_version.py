"""The version of the package, for the build and for what is written."""

__version__ = "0.1.0"
