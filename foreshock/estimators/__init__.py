"""Estimators: the classifier by scikit-learn's and by aeon's conventions."""
