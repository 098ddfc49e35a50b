"""Estimators: the classifier by the conventions of scikit-learn and of aeon, and its features.

Public: LSTMFCNClassifier, RandomConvolutions, AeonLSTMFCNClassifier.
"""
