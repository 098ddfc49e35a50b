"""Events: problems cut from readings, baselines, and forecasts judged as alarms."""
