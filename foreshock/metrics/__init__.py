"""Metrics: what predictions are worth, as numbers.

`scores` has the scores beside those of the simplest forecasts and the sentence that sums them up,
`intervals` their 95 % intervals, `significance` tests of differences, `calibration` temperature
and sets of classes.

Public: Scores, score. The names of the baselines stand here, since a forecast reads regressions of
these names and needs no score.
"""

PRIOR, AGE, ACTIVITY, LAST = "class prior", "age", "activity counts", "last reading"
SUMMARY, SERIES, BOOSTING = "window summary", "series summary", "gradient boosting"
