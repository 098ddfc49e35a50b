"""The command line: `foreshock COMMAND`, generated from the API's dataclasses and docstrings."""
