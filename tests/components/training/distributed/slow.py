"""A user's network that takes its time, prints, leaves a weight unused, and fails when it is told to."""

import sys
import time

import torch
from torch import Tensor, nn

STEP_SECONDS = 0.02


class Slow(nn.Module):
    def __init__(self, shape: tuple[int, ...], outputs: int, fail: str = "", bug: str = "") -> None:
        super().__init__()
        self.first, self.last = nn.Linear(shape[0], 8), nn.Linear(8, outputs)
        self.unused = nn.Parameter(torch.ones(3))
        self.fail, self.bug, self.steps = fail, bug, 0

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            time.sleep(STEP_SECONDS)
            self.steps += 1
            sys.stdout.write("a step\n")
        if self.fail and self.steps > 2:
            raise MemoryError(self.fail)
        output: Tensor = self.last(torch.relu(self.first(features)))
        if self.bug and self.steps > 2 and output.requires_grad:
            output.register_hook(self._raise)
        return output

    def _raise(self, _slope: Tensor) -> None:
        raise ValueError(self.bug)
