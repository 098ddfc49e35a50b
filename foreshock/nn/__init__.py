"""Networks: the LSTM-FCN family, what its branches see, and devices. No sensors."""
