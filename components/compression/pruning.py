"""Pruning that removes: after it, channels and neurons are gone from the tensors.

N rows, K outputs. Only the network is pruned: its outputs and what the preparation feeds it stay as they are.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch_pruning as tp
from torch import Tensor, nn

from components.compression.config import Prune, PruneChannels
from components.errors import Refusal, refuse
from components.models.model import Model
from components.table import Table
from components.training.config import TrainConfig

logger = logging.getLogger(__name__)

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # whose outputs may go
_ROUNDINGS = (8, 4, 2)  # channel counts that vector instructions like


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """A pruned model, and what went."""

    model: Model
    parameters_before: int  # of the network
    parameters_after: int
    channels: dict[str, tuple[int, int]]  # by layer: outputs before and after; layers that kept all aren't listed
    kept: tuple[str, ...] = ()  # layers that nothing could be taken from without breaking the network


class Pruner(Protocol):
    """A way to prune: returns a smaller copy."""

    def __call__(self, model: Model, config: Prune, *, example: tuple[Tensor, ...]) -> Pruned:
        """Prune, given the raw tensors of a few real rows. Raises: Refusal where nothing could be removed."""
        ...


def prune_channels(model: Model, config: PruneChannels, *, example: tuple[Tensor, ...]) -> Pruned:
    """Return a copy of the model, on the CPU, without the `ratio` of each layer's channels whose weights are smallest.

    Channels that depend on each other go together; their importance is the L2 norm of all their weights. Counts are
    rounded down to a multiple of 8 where layers are wide enough, and no layer comes below it. Attention keeps its
    width. `example` holds the raw tensors of a few real rows.

    Raises:
        Refusal: the network can't be traced, or nothing could be removed.
    Source: Fang et al., DepGraph, CVPR 2023, https://arxiv.org/abs/2301.12900
    """
    smaller = deepcopy(model).cpu().eval()
    whole = smaller.network
    with torch.no_grad():
        features = smaller.features(*(tensor.cpu() for tensor in example))
    network, kept = _pruned(whole, features, config.ratio)
    before, after = _outputs(whole), _outputs(network)
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    sizes = _parameters(whole), _parameters(network)
    if sizes[1] >= sizes[0]:
        raise _more_than_before(config) if changed else _nothing_removed(whole, config, kept)
    smaller.network = network
    logger.info("pruned %d of %d parameters", sizes[0] - sizes[1], sizes[0])
    return Pruned(model=smaller, parameters_before=sizes[0], parameters_after=sizes[1], channels=changed, kept=kept)


def finetuning(config: Prune, train: TrainConfig) -> TrainConfig | None:
    """Return how the pruned model is trained again: as the whole one was, shorter and slower. None: not at all."""
    if config.finetune_epochs == 0:
        return None
    optimizer = replace(train.optimizer, lr=train.optimizer.lr * config.finetune_lr_share)
    return replace(train, epochs=config.finetune_epochs, optimizer=optimizer)


PRUNERS: Table[Pruner] = Table("pruning method", {"channels": prune_channels})


def _pruned(network: nn.Module, features: tuple[Tensor, ...], ratio: float) -> tuple[nn.Module, tuple[str, ...]]:
    """Return a pruned copy that still runs, and the layers that had to be left alone for that."""
    smaller = _copy(network)
    _prune_(smaller, features, ratio=ratio, leave=frozenset())
    if _runs(smaller, features, like=network):
        return smaller, ()
    # Find the layers that are tied to sizes which the tracer can't see: a reshape to a constant, say.
    breaking = frozenset(name for name in _outputs(network) if _breaks(network, name, features, ratio))
    smaller = _copy(network)
    _prune_(smaller, features, ratio=ratio, leave=breaking)
    if not _runs(smaller, features, like=network):
        raise refuse(
            "the network doesn't run after pruning: its layers depend on each other in a way that can't be traced",
            do="take sizes in the network's forward from its tensors, or leave out `prune`",
        )
    return smaller, tuple(sorted(breaking))


def _breaks(network: nn.Module, name: str, features: tuple[Tensor, ...], ratio: float) -> bool:
    alone = _copy(network)
    _prune_(alone, features, ratio=ratio, leave=frozenset(_outputs(network)) - {name})
    return not _runs(alone, features, like=network)


def _prune_(network: nn.Module, features: tuple[Tensor, ...], *, ratio: float, leave: frozenset[str]) -> None:
    """Prune in place all layers but those to leave, and those whose outputs are the network's."""
    names = {module: name for name, module in network.named_modules()}
    multiple = _rounding(network, ratio)
    with _traced(network):
        pruner = tp.pruner.BasePruner(
            network,
            features,
            importance=tp.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            pruning_ratio_dict=_narrow(network, ratio, least=multiple or 1),
            round_to=multiple,
            ignored_layers=[module for module in names if isinstance(module, nn.MultiheadAttention)],
            in_channel_groups={},  # the defaults are shared between calls
            out_channel_groups={},
        )
        for group in pruner.step(interactive=True):
            if not _reaches_output(group, pruner.DG) and not _narrowed(group, pruner.DG, names) & leave:
                group.prune()


@contextmanager
def _traced(network: nn.Module) -> Iterator[None]:
    # By name: pruning puts other parameters in their places, and ties none of those that were one.
    wanted = {name: one.requires_grad for name, one in network.named_parameters(remove_duplicate=False)}
    try:
        network.requires_grad_(True)
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parameters outside layers: they are pruned with what they touch
            yield
    except Exception as error:  # the tracer's own asserts, and whatever the network raises
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise refuse(
            f"the network can't be traced for pruning: {first[:200]}",
            allowed="networks of layers whose sizes depend on each other through tensors alone",
            do="leave out `prune`, or write the network of torch.nn layers",
        ) from error
    finally:
        for name, parameter in network.named_parameters(remove_duplicate=False):
            parameter.requires_grad_(wanted[name])


def _reaches_output(group: tp.dependency.Group, graph: tp.DependencyGraph) -> bool:
    """Say whether the group narrows what the network returns: a node that nothing reads loses outputs."""
    return any(not dep.target.outputs and graph.is_out_channel_pruning_fn(dep.handler) for dep, _ in group)


def _narrowed(group: tp.dependency.Group, graph: tp.DependencyGraph, names: dict[nn.Module, str]) -> set[str]:
    """Return the layers that lose outputs with the group."""
    losing = (dep.target.module for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler))
    return {names[module] for module in losing if module in names}


def _narrow(network: nn.Module, ratio: float, *, least: int) -> dict[nn.Module, float]:
    """Return a lower ratio for each layer of which fewer outputs would be left: torch-pruning would leave it whole."""
    widths = {network.get_submodule(name): width for name, width in _outputs(network).items() if width > least}
    return {layer: 1 - (least + 0.5) / width for layer, width in widths.items() if width * (1 - ratio) < least}


def _rounding(network: nn.Module, ratio: float) -> int | None:
    """Return the largest multiple that leaves every wide layer two of it; narrow ones are cut to one of it at most."""
    left = [int(width * (1 - ratio)) for width in _outputs(network).values() if width >= 16]
    return next((multiple for multiple in _ROUNDINGS if left and min(left) >= 2 * multiple), None)


def _outputs(network: nn.Module) -> dict[str, int]:
    layers = {name: module for name, module in network.named_modules() if isinstance(module, _LAYERS)}
    return {name: module.weight.shape[0] for name, module in layers.items()}


def _copy(network: nn.Module) -> nn.Module:
    return deepcopy(network).eval()


def _runs(network: nn.Module, features: tuple[Tensor, ...], *, like: nn.Module) -> bool:
    """Say whether the network still takes these features, and returns the shape that the other one does."""
    with torch.no_grad():
        expected: Tensor = like(*features)
        try:
            found: Tensor = network(*features)
        except (Refusal, RuntimeError, ValueError, IndexError, TypeError, AssertionError):  # a user's network refuses
            return False
    return found.shape == expected.shape


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _nothing_removed(network: nn.Module, config: PruneChannels, kept: tuple[str, ...]) -> Exception:
    widths = ", ".join(f"{name} {width}" for name, width in list(_outputs(network).items())[:6]) or "none"
    tied = f"; {', '.join(kept[:6])} can't be narrowed without breaking the network" if kept else ""
    mend = "take sizes in the network's forward from its tensors" if kept else "widen the network"
    return refuse(
        f"pruning with ratio {config.ratio} removed nothing (layers by outputs: {widths}{tied})",
        allowed="networks with hidden Linear or Conv layers; the last layer's outputs always stay",
        do=f"{mend}, or leave out `prune`",
    )


def _more_than_before(config: PruneChannels) -> Exception:
    return refuse(
        f"pruning with ratio {config.ratio} removed less than it added: layers of one weight get a weight each",
        do="raise the ratio, give each layer a weight of its own, or leave out `prune`",
    )
