"""Benchmarking: many trainings on many problems in a pool, their results and their page."""
