"""The training loop. It ends with the same bytes whether or not it was killed on the way.

Order of rows: a function of (seed, epoch). Dropout and augmentation: of (seed, step). Learning rate, best epoch and
early stopping: of the step and the history. So the state is weights, optimizer, history and place, nothing else.

Several processes run this same loop, each on its share of every batch, and reach the same state.
"""

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import isfinite
from pathlib import Path
from time import monotonic

import torch
from torch import Tensor, nn

from components.errors import refuse
from components.models.model import Model, ModelSpec
from components.models.prepare import PrepareImage
from components.table import Table
from components.task import Metric
from components.training.checkpoint import State, load_checkpoint_, save_checkpoint
from components.training.config import Augment, TrainConfig
from components.training.device import device_of, settings
from components.training.examples import Dataset, Examples, dataset, order, steps_of_epoch
from components.training.fingerprint import fingerprint_of
from components.training.job import Fitted, Job
from components.training.losses import criterion
from components.training.optimizers import optimizer
from components.training.precision import scaler
from components.training.room import check_room
from components.training.step import Run, learn_
from components.training.together import OneProcess, Together
from components.training.validate import improvements, telling_rows, validate
from components.training.watch import Observer

log = logging.getLogger(__name__)


def fit(
    model: Model,
    config: TrainConfig,
    train: Examples,
    validation: Examples,
    *,
    spec: ModelSpec,
    metric: Metric,
    seed: int,
    folder: Path,
    observer: Observer,
) -> Fitted:
    """Train the model's network in place, and leave it on the CPU with the weights of its best epoch.

    Args:
        model: New, or trained already: then this is fine-tuning.
        config: How.
        train: What is learned from.
        validation: What chooses the epoch, stops early and lowers the rate on a plateau.
        spec: What the model was built from: other processes build it again.
        metric: What "best" means, with the validation loss: see `improvements`.
        seed: Of the order of rows, dropout and augmentation.
        folder: Of the checkpoint. Called again with the same arguments and folder, training goes on from there.
        observer: Is told of steps and epochs.

    Raises:
        Refusal: device, precision or memory can't be had, a set has too few rows, or the loss became NaN or infinite.
        ProcessLost: a signal ended one of several processes: called again, training goes on from there.
        OutOfMemory, RuntimeError: one of them failed.
    """
    if not isinstance(model.prepare, PrepareImage) and config.augment != Augment():
        raise refuse("augment is for images, and this is a table", where="train.augment", do="leave it out")
    if not len(validation):
        raise refuse("validation has no rows", where="split", do="give it a larger share")
    check_room(model.network, config, of=spec.network)  # a user's own is counted now that it is built
    job = Job(config=config, metric=metric, seed=seed, folder=folder)
    return WAYS[config.distributed.name](job, model, train, validation, spec=spec, observer=observer)


def alone(
    job: Job,
    model: Model,
    train: Examples,
    validation: Examples,
    *,
    spec: ModelSpec,  # noqa: ARG001 - all ways are called alike
    observer: Observer,
) -> Fitted:
    """Train in this process."""
    config, device, target = job.config, device_of(job.config), model.head.target
    with settings(device, threads=config.threads):
        learned = dataset(train, model, target, device=device, channels_last=config.channels_last)
        judged = dataset(validation, model, target, device=device, channels_last=config.channels_last)
        run = run_of(job, model, learned, judged, device=device, together=OneProcess())
        name = fingerprint_of(model.network, config, learned, judged, metric=job.metric, seed=job.seed)
        fitted = train_(run, model.network, name=name, folder=job.folder, observer=observer)
        network = model.network.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        network.eval()
        model.prepare.to("cpu")
    return fitted


def by_ddp(
    job: Job, model: Model, train: Examples, validation: Examples, *, spec: ModelSpec, observer: Observer
) -> Fitted:
    """Train in several processes of this machine."""
    from components.training.distributed.parent import fit_by_processes

    return fit_by_processes(job, model, train, validation, spec=spec, observer=observer)


WAYS: Table[Callable[..., Fitted]] = Table("way to train", {"alone": alone, "ddp": by_ddp})


def run_of(
    job: Job, model: Model, train: Dataset, validation: Dataset, *, device: torch.device, together: Together
) -> Run:
    """Return what stays the same while training."""
    config, target = job.config, model.head.target
    return Run(
        config=config,
        train=train,
        validation=validation,
        steps=steps_of_epoch(len(train), size=config.batch_size, accumulate=config.accumulate),
        criterion=criterion(config.loss, target=train.target, classes=len(target.classes)),
        head=model.head,
        metric=job.metric,
        seed=job.seed,
        black=model.prepare.black.to(device) if isinstance(model.prepare, PrepareImage) else None,
        device=device,
        together=together,
    )


def train_(run: Run, network: nn.Module, *, name: str, folder: Path, observer: Observer) -> Fitted:
    """Train the network in place, on the run's device; `name` is the fingerprint that its checkpoint carries."""
    config, together, state = run.config, run.together, _first_state(network, run)
    forward = together.spread(state.network, example=run.train.batch(torch.arange(2, device=run.device))[0])
    if load_checkpoint_(state, folder, fingerprint=name):
        log.info("going on from epoch %d, step %d", len(state.history) + 1, state.step + 1)
        _take_up_(state, together)
        observer.resumed(state.history, step=state.step)
    if config.compile:
        forward = torch.compile(forward)
    saved, began = monotonic(), monotonic() - state.seconds
    while not _finished(run, state):
        epoch, steps = len(state.history), len(run.steps)
        rows = order(len(run.train), seed=run.seed, epoch=epoch).to(run.device)
        state.network.train()
        while state.step < steps:
            learn_(run, state, forward, rows)
            observer.step(step=epoch * steps + state.step, steps=config.epochs * steps)
            if state.step < steps and together.agree(monotonic() - saved >= config.checkpoint_seconds):
                saved = _checkpoint(run, state, folder, name=name, began=began)
        observer.epoch(_end_epoch_(run, state), epoch=epoch)
        if together.agree(_finished(run, state) or monotonic() - saved >= config.checkpoint_seconds):
            saved = _checkpoint(run, state, folder, name=name, began=began)
    state.network.load_state_dict(state.best)
    return _fitted(run, state)


def _first_state(network: nn.Module, run: Run) -> State:
    config = run.config
    layout = torch.channels_last if config.channels_last and run.black is not None else torch.preserve_format
    network = network.to(run.device, memory_format=layout)  # type: ignore[call-overload]
    return State(
        network=network,
        average=deepcopy(network) if config.weight_average else None,
        optimizer=optimizer(config.optimizer, network, fused=run.device.type != "mps"),
        scaler=scaler(config.precision, run.device),
        losses=torch.zeros(sum(map(len, run.steps)), device=run.device),
    )


def _take_up_(state: State, together: Together) -> None:
    """Give the process what it had of the state: the losses in a checkpoint are sums, which the first one takes."""
    together.remember_(state.memory)
    if together.rank:
        state.losses.zero_()


def _end_epoch_(run: Run, state: State) -> dict[str, float]:
    """Judge the epoch, add it to the history, and keep its weights if it is the best so far."""
    losses = run.together.sum(state.losses)
    _refuse_nonsense(run, state, losses)
    judged = validate(
        state.evaluated,
        run.validation,
        head=run.head,
        criterion=run.criterion,
        metric=run.metric,
        together=run.together,
    )
    lr = state.optimizer.param_groups[0]["lr"]
    figures = {"train_loss": losses.sum().item() / len(run.train), **judged, "lr": lr}
    _refuse_nonsense(run, state, losses, validation_loss=figures["validation_loss"])
    state.history.append(figures)
    rows = telling_rows(run.validation.target, metric=run.metric)
    state.improved = improvements(state.history, metric=run.metric, rows=rows)
    state.step = 0
    if state.improved[-1]:
        state.best = {name: tensor.detach().clone() for name, tensor in state.evaluated.state_dict().items()}
    log.info("epoch %d: %s", len(state.history), ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    return figures


def _finished(run: Run, state: State) -> bool:
    epochs, patience = len(state.history), run.config.stop_after_epochs
    stalled = patience is not None and epochs > 0 and not any(state.improved[-patience:])
    return epochs == run.config.epochs or stalled


def _refuse_nonsense(run: Run, state: State, losses: Tensor, *, validation_loss: float = 0.0) -> None:
    wrong = (~torch.isfinite(losses)).nonzero().flatten().tolist()
    if not wrong and isfinite(validation_loss):
        return
    step = len(state.history) * len(run.steps) + (wrong[0] // run.config.accumulate + 1 if wrong else state.step)
    what = f"the train loss is {losses[wrong[0]].item()}" if wrong else f"the validation loss is {validation_loss}"
    lr, precision = state.optimizer.param_groups[0]["lr"], run.config.precision
    raise refuse(
        f"{what} at step {step} (epoch {len(state.history) + 1}), with lr {lr:.3g} in {precision}",
        where="train",
        allowed="a finite loss",
        do=f"take a lower train.optimizer.lr (say {run.config.optimizer.lr / 10:.3g}), a warm-up, clip_norm: 1, "
        "or look for huge numbers in the data (prepare.numbers: quantile)",
    )


def _checkpoint(run: Run, state: State, folder: Path, *, name: str, began: float) -> float:
    """Save the state, and return when."""
    losses = run.together.sum(state.losses)
    _refuse_nonsense(run, state, losses)
    state.seconds = monotonic() - began
    whole = replace(state, losses=losses, memory=run.together.memory())
    if run.together.rank == 0:
        save_checkpoint(whole, folder, fingerprint=name)
    return monotonic()


def _fitted(run: Run, state: State) -> Fitted:
    return Fitted(
        history=tuple(state.history),
        best_epoch=max(epoch for epoch, improved in enumerate(state.improved) if improved),
        seconds=state.seconds,
        samples_per_second=len(state.history) * len(run.train) / state.seconds,
        device=str(run.device) if run.together.processes == 1 else f"{run.together.processes} x {run.device.type}",
    )
