"""Estimators: the classifier by the conventions of scikit-learn and of aeon.

Public: LSTMFCNClassifier, AeonLSTMFCNClassifier.
"""
