"""Metrics: scores of predictions beside baselines, intervals, tests, calibration."""
