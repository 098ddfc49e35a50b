"""Networks: the LSTM-FCN family as torch modules. They know no sensors.

`config` has `ModelConfig`, `model` the network `LSTMFCN`, `layers` what it is made of,
`preprocessing` what each branch sees, `random_convolutions` the branch with a head in closed
form, `predict` its logits for many cases, `distributed` devices, precision and memory.

Public: LSTMFCN, ModelConfig, PAPER.
"""
