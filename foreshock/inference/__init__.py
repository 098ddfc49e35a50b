"""Inference: a saved run forecasts, explains, is evaluated and exported."""
