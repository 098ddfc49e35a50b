"""Training: from a labelled problem to a run, by one loop; the one place that sees test cases."""
