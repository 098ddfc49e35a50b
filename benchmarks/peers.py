"""What `speed.py` compares with: the network as tutorials write it; alone, by skorch, by sktime."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

Way = Callable[[], object]
"""Does a thing once."""


def draw(n: int, n_timepoints: int) -> tuple[Any, Any]:
    X = np.random.default_rng(0).normal(size=(n, 1, n_timepoints)).astype(np.float32)
    return X, np.arange(n) % 2


class Plain(nn.Module):
    """The network as tutorials write it: nn.LSTM, nn.Conv1d, nn.BatchNorm1d, float32."""

    def __init__(
        self,
        n_timepoints: int,
        *,
        squeeze_excite: bool,
        n_classes: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_timepoints, 64, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        layers: list[nn.Module] = []
        for i, (n_in, n_out, kernel) in enumerate(((1, 128, 8), (128, 256, 5), (256, 128, 3))):
            conv = nn.Conv1d(n_in, n_out, kernel, padding="same")
            layers += [conv, nn.BatchNorm1d(n_out, eps=1e-3), nn.ReLU()]
            if squeeze_excite and i < 2:
                layers.append(PlainExcite(n_out))
        self.convolutional = nn.Sequential(*layers)
        self.head = nn.Linear(64 + 128, n_classes)

    def forward(self, X: Tensor) -> Tensor:
        recurrent = self.dropout(self.lstm(X)[0][:, -1])  # (batch, cells)
        pooled = self.convolutional(X).mean(dim=2)  # (batch, filters)
        logits: Tensor = self.head(torch.cat([recurrent, pooled], dim=1))
        return logits


class PlainExcite(nn.Module):
    def __init__(self, n_filters: int) -> None:
        super().__init__()
        self.down = nn.Linear(n_filters, n_filters // 16, bias=False)
        self.up = nn.Linear(n_filters // 16, n_filters, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gates = torch.sigmoid(self.up(torch.relu(self.down(x.mean(dim=2)))))
        return x * gates[:, :, None]


def plain_steps(
    model: nn.Module, data: TensorDataset, batch_size: int, weight_decay: float = 0.01
) -> Iterator[float]:
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=weight_decay)
    loss_of = nn.CrossEntropyLoss()
    model.train()
    while True:
        for x, y in DataLoader(data, batch_size, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            yield loss.item()


def plain_training(n: int, n_timepoints: int, batch_size: int, n_steps: int, excite: bool) -> Way:
    data = TensorDataset(*map(torch.from_numpy, draw(n, n_timepoints)))
    steps = plain_steps(Plain(n_timepoints, squeeze_excite=excite), data, batch_size)
    return lambda: [next(steps) for _ in range(n_steps)]


def skorch() -> Way:
    from skorch import NeuralNetClassifier

    X, y = draw(50, 150)
    net = NeuralNetClassifier(
        Plain,
        module__n_timepoints=150,
        module__squeeze_excite=False,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        batch_size=8,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).initialize()
    return lambda: net.partial_fit(X, y, epochs=1)


def sktime(n_epochs: int) -> Way:
    from sktime.classification.deep_learning.lstmfcn import LSTMFCNClassifierTorch

    X, y = draw(50, 150)
    options = {"batch_size": 8, "lstm_size": 64, "dropout": 0.5, "optimizer": "AdamW"}
    return lambda: LSTMFCNClassifierTorch(num_epochs=n_epochs, **options).fit(X, y)


def plain_forecasts(n: int) -> Way:
    X, model = draw(n, 512)[0], Plain(512, squeeze_excite=False).eval()

    def act() -> Any:
        with torch.no_grad():
            parts = np.split(X, len(X) // 64 or 1)
            return torch.cat([model(torch.from_numpy(x)).softmax(dim=1) for x in parts]).numpy()

    return act
