"""The state of a training: what a killed one needs to end with the same bytes. One file, replaced atomically.

There is no random state and no schedule in it: both are functions of seed, step and history.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor, nn, optim

from components.models.tensors import read_note, read_tensors, same_layout, write_tensors

CHECKPOINT_FILE: Final = "checkpoint.safetensors"
History = list[dict[str, float]]


@dataclass(kw_only=True, slots=True)
class State:
    """Everything that changes while training. `losses` are those of the epoch's batches so far, [batches]."""

    network: nn.Module
    average: nn.Module | None
    optimizer: optim.Optimizer
    scaler: torch.amp.GradScaler
    losses: Tensor
    best: dict[str, Tensor] = field(default_factory=dict)
    history: History = field(default_factory=list)
    improved: tuple[bool, ...] = ()  # of each epoch of the history: were its weights kept?
    step: int = 0  # within the epoch; the epoch is the length of the history
    seconds: float = 0.0
    memory: dict[str, Tensor] = field(default_factory=dict)  # what the processes keep between steps

    @property
    def evaluated(self) -> nn.Module:
        """The network whose weights are judged and kept: the moving average, if there is one."""
        return self.average or self.network


def save_checkpoint(state: State, folder: Path, *, fingerprint: str) -> None:
    """Write the state; `fingerprint` names the training that it belongs to."""
    tensors = {
        **_under("network", state.network.state_dict()),
        **_under("average", state.average.state_dict() if state.average else {}),
        **_under("best", state.best),
        **_under("optimizer", _optimizer_tensors(state.optimizer)),
        **_under("memory", state.memory),
        "losses": state.losses,
    }
    note = {
        "fingerprint": fingerprint,
        "history": state.history,
        "improved": state.improved,
        "step": state.step,
        "seconds": state.seconds,
        "scaler": state.scaler.state_dict(),
    }
    write_tensors(folder / CHECKPOINT_FILE, tensors, note=note)


def load_checkpoint_(state: State, folder: Path, *, fingerprint: str) -> bool:
    """Bring the state to where the checkpoint left it. False, with nothing changed, if this training left none."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return False
    note = cast(dict[str, object], read_note(path))
    if note["fingerprint"] != fingerprint:
        return False
    tensors = read_tensors(path)
    state.network.load_state_dict(_from("network", tensors))
    if state.average is not None:
        state.average.load_state_dict(_from("average", tensors))
    _load_optimizer_(state.optimizer, _from("optimizer", tensors))
    state.scaler.load_state_dict(cast(dict[str, object], note["scaler"]))
    state.losses = tensors["losses"].to(state.losses.device)
    state.best = {name: tensor.to(state.losses.device) for name, tensor in _from("best", tensors).items()}
    state.memory = _from("memory", tensors)
    state.history = cast(History, note["history"])
    state.improved = tuple(cast(list[bool], note["improved"]))
    state.step, state.seconds = cast(int, note["step"]), cast(float, note["seconds"])
    return True


def _optimizer_tensors(optimizer: optim.Optimizer) -> dict[str, Tensor]:
    states = cast(dict[int, dict[str, object]], optimizer.state_dict()["state"])
    parts = {f"{i}.{name}": value for i, state in states.items() for name, value in state.items()}
    return {name: value for name, value in parts.items() if isinstance(value, Tensor)}


def _load_optimizer_(optimizer: optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        i, _, name = key.partition(".")
        like = parameters[int(i)]
        states.setdefault(int(i), {})[name] = same_layout(tensor, like) if tensor.shape == like.shape else tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _from(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
