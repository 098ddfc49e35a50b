"""Reporting: from the files of runs to one HTML page. It loads no model and no torch.

`report` puts the page together: `run_data` reads and checks a run's files, `one_run` and
`compare_runs` write the sections, `standings` ranks methods beside published ones, `figures`
draws, `html` writes. `model_card` is the README.md of a run.

Public: write_report.
"""
