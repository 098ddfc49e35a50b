"""Events: from readings to an early-warning problem, and from forecasts to alarms.

`cut` makes the problem, `labelling` decides what each reading may be the target of, `partition`
divides time into parts and folds. `baselines` are the simple forecasts that a model stands
beside, `alarms` are thresholds and what comes of them, `backtest` forecasts every target of a
stretch of readings. No torch.

Public: cut, PartsConfig.
"""
