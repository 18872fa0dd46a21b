"""Give a network the shapes of stored tensors: how a pruned network is loaded from the config of the whole one."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def resize_(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Change every parameter and buffer whose stored shape differs, and the sizes that its module remembers.

    The new values are undefined until the tensors are loaded.
    """
    for name, module in network.named_modules():
        prefix = f"{name}." if name else ""
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        changed = [key for key, value in own if tensors.get(prefix + key, value).shape != value.shape]
        for key in changed:
            _replace_(module, key, tensors[prefix + key])
        if changed:
            _remember_(module)


def _replace_(module: nn.Module, key: str, stored: Tensor) -> None:
    if key in dict(module.named_parameters(recurse=False)):
        old = module.get_parameter(key)
        module.register_parameter(key, nn.Parameter(torch.empty_like(stored), requires_grad=old.requires_grad))
    else:
        module.register_buffer(key, torch.empty_like(stored))


def _remember_(module: nn.Module) -> None:
    match module:
        case nn.Linear():
            module.out_features, module.in_features = module.weight.shape
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            each = module.groups == module.in_channels and module.groups > 1  # a filter per channel
            module.groups = module.weight.shape[0] if each else module.groups
            module.out_channels, module.in_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
        case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.BatchNorm3d():
            module.num_features = len(module.weight)
        case nn.LayerNorm():
            module.normalized_shape = tuple(module.weight.shape)
        case nn.Embedding():
            module.num_embeddings, module.embedding_dim = module.weight.shape
        case _:
            pass
