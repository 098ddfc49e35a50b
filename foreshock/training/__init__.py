"""Training: from a labelled problem to a run.

`config` has `FitConfig`, `TrainConfig`, the presets and the losses; `batches` which cases make a
batch; `loop` the one training loop; `cuda_graphs` its steps on a GPU; `ensemble` trains the
members; `stacking` fits the heads of windows and weighs them; `recorder` writes history and
checkpoints; `tracking` hands them to TensorBoard and MLflow; `transfer` begins with another run's
convolutions. `pipeline` opens, trains and finishes: it is the one place that predicts the test
part, once.

Public: train, TrainConfig, FitConfig, PRESETS, DivergedError.
"""
