"""The name of a training: a checkpoint is only taken up by the training that wrote it."""

from dataclasses import asdict, replace
from hashlib import sha256

import torch
from torch import Tensor, nn

from components.task import Metric
from components.training.config import TrainConfig
from components.training.examples import Dataset


def fingerprint_of(
    network: nn.Module, config: TrainConfig, train: Dataset, validation: Dataset, *, metric: Metric, seed: int
) -> str:
    """Return a digest of all that decides the result: first weights, config, metric, seed, rows."""
    decides = replace(config, checkpoint_seconds=0.0, device="auto", threads=None)
    digest = sha256(f"{asdict(decides)} {metric} {seed}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} ".encode() + _bytes(tensor))
    for rows in (train, validation):
        for tensor in (*rows.features, rows.target):
            digest.update(f"{tuple(tensor.shape)} ".encode() + _bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()  # NumPy has no bfloat16
