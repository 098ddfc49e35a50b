"""Metrics: what predictions are worth, as numbers.

`scores` has the scores beside those of the simplest forecasts and the sentence that sums them up,
`intervals` their 95 % intervals, `significance` tests of differences, `calibration` temperature
and sets of classes.

Public: Scores, score.
"""
