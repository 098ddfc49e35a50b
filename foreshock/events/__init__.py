"""Events: from readings to an early-warning problem, and from forecasts to alarms.

`inventory` says what readings hold and finds rules to try. `cut` makes the problem, `labelling`
decides what each reading may be the target of, `partition` divides times and units into parts and
folds. `baselines` are the simple forecasts that a model stands beside, `blocks` the cases that are
drawn together, `backtest` forecasts every target of a stretch of readings, `alarms` are thresholds
and what comes of them, `episodes` alarms and events as stretches of time. No torch.

Public: cut, PartsConfig.
"""
