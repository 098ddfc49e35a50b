"""Networks: the LSTM-FCN family as torch modules. They know no sensors.

`config` has `ModelConfig`, `model` the network `LSTMFCN` and its logits, `layers` its parts,
`preprocessing` what each branch sees, `random_convolutions` the branch with a head in closed
form, `window_summary` the one on numbers that summarise a window, `distributed` devices, precision
and memory.

Public: LSTMFCN, ModelConfig, PAPER.
"""
