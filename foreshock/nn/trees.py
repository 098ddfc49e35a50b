"""Trees of decisions as arrays: what a forest knows of a few numbers, in torch.

All trees are whole: each path has as many decisions, those below an early leaf lead to the same
end. So a batch goes down all trees at once, in as many steps as they are deep, and the arrays'
shapes do not depend on what was learnt.
"""

import torch
from torch import Tensor, nn

DEPTH = 7
"""Decisions between the root of a tree and its leaves."""
_NODES, _LEAVES = 2**DEPTH - 1, 2**DEPTH


class Trees(nn.Module):
    """Trees whose leaves hold a probability of each class.

    Parameters
    ----------
    n_trees, n_classes : int
        How many there are, and of what.

    Attributes
    ----------
    feature, threshold : Tensor of shape (n_trees, 127)
        Each node goes on to the right where this feature is above this threshold. Node i is
        followed by 2 i + 1 on its left and 2 i + 2 on its right.
    proba : Tensor of shape (n_trees, 128, n_classes)
        Of each leaf, from left to right.
    """

    feature: Tensor
    threshold: Tensor
    proba: Tensor

    def __init__(self, n_trees: int, n_classes: int) -> None:
        super().__init__()
        self.n_trees = n_trees
        self.register_buffer("feature", torch.zeros(n_trees, _NODES, dtype=torch.int64))
        self.register_buffer("threshold", torch.zeros(n_trees, _NODES, dtype=torch.float32))
        self.register_buffer(
            "proba", torch.full((n_trees, _LEAVES, n_classes), 1 / n_classes, dtype=torch.float32)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map features (batch, n_features) to probabilities (batch, n_classes)."""
        tree = torch.arange(self.n_trees, device=z.device)
        feature, threshold = self.feature.flatten(), self.threshold.flatten()
        at = tree.new_zeros(z.shape[0], self.n_trees)  # `len` would be traced as a constant
        for _ in range(DEPTH):
            node = at + tree * _NODES
            right = z.gather(1, feature[node]) > threshold[node]  # (batch, n_trees)
            at = 2 * at + 1 + right
        leaf = at - _NODES + tree * _LEAVES
        return self.proba.flatten(0, 1)[leaf].mean(dim=1)
