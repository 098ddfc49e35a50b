"""Benchmarking: many trainings on many problems, and what they come to.

`benchmark` lists the jobs, `pool` runs them in processes, `jobs` does one, `results` keeps a file
for each, `page` makes the tables and the page.

Public: benchmark, write_scoreboard.
"""
