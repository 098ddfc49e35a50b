"""Reporting: from the files of runs to one HTML page. It loads no model and no torch.

`report` is the way in: `run_data` reads and checks a run's files, `one_run` and `compare_runs` make
the page of one and of several, `standings` ranks methods beside published ones, `figures` draws,
`html` writes. `model_card` is the README.md of a run.

Public: write_report.
"""
