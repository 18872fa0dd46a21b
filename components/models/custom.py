"""A network of the user's own, by import path. It is tried on two rows before anything is trained."""

from importlib import import_module

import torch
from torch import Tensor, nn

from components.errors import nearest, refuse
from components.models.config import Custom


def custom(config: Custom, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return what the user's `Name(shape, outputs, **options)` gives, once it has proved to be a fitting network.

    Raises:
        Refusal: it can't be imported or called, or its output isn't [N, outputs].
    """
    maker = _found(config)
    call = f"{config.path}({shape}, {outputs}{''.join(f', {k}={v!r}' for k, v in config.options.items())})"
    try:
        network = maker(shape, outputs, **config.options)
    except Exception as error:
        raise refuse(f"{call} raised {_said(error)}", where="network", do="mend the network, or its options") from error
    if not isinstance(network, nn.Module):
        raise refuse(f"{call} returned {type(network).__name__}", where="network", allowed="a torch.nn.Module")
    _try(network, config, shape=shape, outputs=outputs)
    return network


def _found(config: Custom) -> type[nn.Module]:
    module_name, _, name = config.path.partition(":")
    try:
        names = vars(import_module(module_name))
    except Exception as error:
        do = "install the package, or start from the folder that holds it and name that on PYTHONPATH"
        raise refuse(f"importing {module_name} raised {_said(error)}", where="network.path", do=do) from error
    if not callable(names.get(name)):
        close = nearest(name, [key for key, value in names.items() if callable(value)])
        raise refuse(f"{module_name} has no class or function '{name}'", where="network.path", do=close)
    found: type[nn.Module] = names[name]
    return found


def _try(network: nn.Module, config: Custom, *, shape: tuple[int, ...], outputs: int) -> None:
    training = network.training
    try:
        with torch.no_grad():
            output: object = network.eval()(torch.zeros(2, *shape))
    except Exception as error:
        rows = [2, *shape]
        raise refuse(f"{config.path} on zeros of shape {rows} raised {_said(error)}", where="network") from error
    finally:
        network.train(training)
    if not isinstance(output, Tensor):
        raise refuse(f"{config.path} returns {type(output).__name__}", where="network", allowed="one tensor")
    if tuple(output.shape) != (2, outputs) or not output.is_floating_point():
        given = f"{output.dtype} of shape {list(output.shape)}".removeprefix("torch.")
        wanted = f"float32 of shape [2, {outputs}]: a row of {outputs} output(s) for each row"
        raise refuse(f"{config.path} returns {given} for 2 rows", where="network", allowed=wanted)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise refuse(f"{config.path} has no weights to train", where="network", allowed="at least one nn.Parameter")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
