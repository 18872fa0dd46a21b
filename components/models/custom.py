"""A network of the user's own, by import path. It is tried on two and three rows before anything is trained.

What its code raises is said as the network's fault, by name, at any time: it isn't a bug of ours.
"""

from copy import deepcopy
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from components.errors import Refusal, nearest, refuse
from components.models.config import Custom
from components.planning.loaded import only_counted

_KINDS: Final = (torch.float32, torch.float64, torch.float16)  # ONNX Runtime multiplies no others on a CPU


class Theirs(nn.Module):
    """The user's network, whose exceptions and misfits are Refusals that name it. Out of memory stays what it is."""

    def __init__(self, network: nn.Module, path: str, *, outputs: int) -> None:
        super().__init__()
        self.network = network
        self.path = path
        self.outputs = outputs

    def forward(self, features: Tensor) -> Tensor:
        """What the user's network answers."""
        if torch.compiler.is_compiling():  # a compiler's own exceptions must reach it, and sizes stay open
            return self._answer(features)
        mode = "in training" if self.training else "in evaluation"
        try:
            output = self._answer(features)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as error:
            what = f"{self.path} on {list(features.shape)} {mode} raised {_said(error, self.path)}"
            raise refuse(what, where="network", do="mend the network") from error
        kinds = (*_KINDS, torch.bfloat16)  # which train.precision may make of it
        _check_output(output, f"{self.path} {mode}", rows=len(features), outputs=self.outputs, kinds=kinds)
        return output

    def _answer(self, features: Tensor) -> Tensor:
        output: Tensor = self.network(features)
        return output


def custom(config: Custom, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return what the user's `Name(shape, outputs, **options)` gives, once it has proved to be a fitting network.

    Raises:
        Refusal: it can't be imported or called, or loads what no key counts, or its output isn't [N, outputs].
    """
    with only_counted(config.path):
        network = _made(config, shape=shape, outputs=outputs)
        _try(network, config, shape=shape, outputs=outputs)
    return Theirs(network, config.path, outputs=outputs)


def _made(config: Custom, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    maker = _found(config)
    call = f"{config.path}({shape}, {outputs}{''.join(f', {k}={v!r}' for k, v in config.options.items())})"
    try:
        network = maker(shape, outputs, **config.options)
    except (Exception, SystemExit) as error:
        raise refuse(
            f"{call} raised {_said(error, config.path)}", where="network", do="mend the network, or its options"
        ) from error
    if not isinstance(network, nn.Module):
        raise refuse(f"{call} returned {type(network).__name__}", where="network", allowed="a torch.nn.Module")
    return network


def _found(config: Custom) -> type[nn.Module]:
    module_name, _, name = config.path.partition(":")
    try:
        names = vars(import_module(module_name))
    except (Exception, SystemExit) as error:
        do = "put the package beside the recipe, or install it"
        raise refuse(
            f"importing {module_name} raised {_said(error, config.path)}", where="network.path", do=do
        ) from error
    if not callable(names.get(name)):
        there = [key for key, value in names.items() if callable(value) and not key.startswith("_")]
        what, allowed = f"{module_name} has no class or function '{name}'", ", ".join(there[:20]) or "none: it has none"
        do = nearest(name, there) or "name one of these behind the colon, or write it there"
        raise refuse(what, where="network.path", allowed=allowed, do=do)
    found: type[nn.Module] = names[name]
    return found


def _try(network: nn.Module, config: Custom, *, shape: tuple[int, ...], outputs: int) -> None:
    """Run a copy forward, and in training mode backward too, so that no weight or buffer of the network changes."""
    if lazy := [name for name, one in network.named_parameters() if is_lazy(one)]:
        what = f"{config.path} leaves the shape of its weights open: {', '.join(lazy[:3])}"
        raise refuse(what, where="network", do="make them of the shape that it is called with, without Lazy modules")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise refuse(f"{config.path} has no weights to train", where="network", allowed="at least one nn.Parameter")
    if odd := [f"{name} {one.dtype}" for name, one in network.named_parameters() if one.dtype not in _KINDS]:
        what = f"{config.path} has weights that can't be released: {', '.join(odd[:3])}".replace("torch.", "")
        do = "keep real and imaginary parts apart; to learn in bfloat16, keep float32 and set train.precision: bf16"
        raise refuse(what, where="network", allowed="weights of float32, float64 or float16", do=do)
    for training, rows in ((False, 2), (False, 3), (True, 2), (True, 3)):
        mode = "in training" if training else "in evaluation"
        try:
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
                output: object = deepcopy(network).train(training)(torch.zeros(rows, *shape))
                _check_output(output, f"{config.path} {mode}", rows=rows, outputs=outputs, kinds=_KINDS)
                if training and isinstance(output, Tensor):
                    torch.autograd.backward(output.sum())
        except Refusal:
            raise
        except (Exception, SystemExit) as error:
            what = f"{config.path} {mode} on zeros of shape {[rows, *shape]} raised {_said(error, config.path)}"
            raise refuse(what, where="network", do="mend the network") from error


def _check_output(output: object, who: str, *, rows: int, outputs: int, kinds: tuple[torch.dtype, ...]) -> None:
    if not isinstance(output, Tensor):
        raise refuse(f"{who} returns {type(output).__name__}", where="network", allowed="one tensor")
    if tuple(output.shape) != (rows, outputs) or output.dtype not in kinds:
        given = f"{output.dtype} of shape {list(output.shape)}".removeprefix("torch.")
        wanted = f"float32 of shape [{rows}, {outputs}]: a row of {outputs} output(s) for each row"
        raise refuse(f"{who} returns {given} for {rows} rows", where="network", allowed=wanted)


def _said(error: BaseException, path: str) -> str:
    """What was raised, and the last line of their package that it came through."""
    package = path.partition(":")[0].partition(".")[0]
    lines = [
        f" ({Path(frame.f_code.co_filename).name}, line {line})"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return "".join([f"{type(error).__name__}: {error}", *lines[-1:]])
