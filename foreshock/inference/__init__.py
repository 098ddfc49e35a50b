"""Inference: what is done with a trained model.

`forecaster` loads a run and forecasts, `outputs` describes a model and what it says, as CSV and
JSON, `sliding` forecasts overlapping windows at a fraction of the cost, `explain` says what a
logit is made of, `evaluate` scores a model on other cases, `export` writes ONNX and torch.export.

Public: Forecaster, Forecast, Evaluation, evaluate, export_model.
"""
