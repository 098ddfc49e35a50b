"""Benchmarking: many trainings on many problems, and what they come to.

`benchmark` lists the jobs, `pool` does them in processes, `results` keeps a file for each, `page`
makes the tables and the page.

Public: benchmark, write_scoreboard.
"""
