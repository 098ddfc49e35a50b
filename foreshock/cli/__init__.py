"""The command line: `foreshock COMMAND`, generated from the dataclasses and docstrings of the API.

`app` has the commands, the errors and the exit codes; `data`, `training`, `models` (what is done
with a trained one) and `benchmark` what each command does; `console` what they print; `doctor`
checks the machine and a problem. `predict` imports nothing of training and reports.
"""
