"""One step of training: batches to gradients, gradients to new weights.

N rows, M members of a network, K outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from components.errors import refuse
from components.models.model import Head
from components.task import Metric
from components.training.augment import augment
from components.training.checkpoint import State
from components.training.config import Augment, TrainConfig
from components.training.device import seed_, seed_of
from components.training.examples import Dataset
from components.training.losses import Criterion
from components.training.precision import autocast
from components.training.schedules import Moment, rate_share
from components.training.together import Forward, Together, share


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What stays the same while training. A step is a list of batches, each (first, behind the last) row."""

    config: TrainConfig
    train: Dataset
    validation: Dataset
    steps: list[list[tuple[int, int]]]  # of an epoch
    criterion: Criterion
    head: Head
    metric: Metric
    seed: int
    black: Tensor | None  # what a black pixel is as a feature, [C, 1, 1]; None for tables
    device: torch.device
    together: Together


def learn_(run: Run, state: State, forward: Forward, rows: Tensor) -> None:
    """Take one step. Gradients of several batches and processes are weighed by their rows, as if of one batch."""
    config, parts, together = run.config, run.steps[state.step], run.together
    number, behind = len(state.history) * len(run.steps) + state.step, parts[-1][1]
    # Of dropout and augmentation: each process draws for its own rows.
    seed_(run.device, seed_of(run.seed, "step", number, process=together.rank))
    for first, last in parts:
        start, end = share(first, last, rank=together.rank, processes=together.processes)
        with together.exchange(now=last == behind):
            features, target = run.train.batch(rows[start:end])
            with autocast(config.precision, run.device):
                output = _answers(run, forward, _augmented(run, features))
            # Without a row of its own a process still takes part: its gradients are zeros.
            loss = run.criterion(*one_by_one(output.float(), target)) if end > start else output.float().sum()
            state.losses[first // config.batch_size] = loss.detach() * (end - start)
            # Of the mean over all rows of the step, once the gradients of the processes are averaged.
            weight = (end - start) * together.processes / (behind - parts[0][0])
            torch.autograd.backward(state.scaler.scale(loss if weight == 1 else loss * weight))
    if config.clip_norm is not None:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), config.clip_norm)
    for group in state.optimizer.param_groups:
        group["lr"] = rate(run, state)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average is not None:
        average_(state.average, state.network, decay=min(config.weight_average, (1 + number) / (10 + number)))
    state.step += 1


def _answers(run: Run, forward: Forward, features: tuple[Tensor, ...]) -> Tensor:
    """Return the network's answers.

    Raises:
        Refusal: the batch is too small for its batch normalisation, or nothing is there to compile it with.
    """
    try:
        return forward(*features)
    except Exception as error:
        said = str(error)
        if "more than 1 value per channel" in said:
            what = "batch normalisation has a single value per channel in a batch of one row: nothing to normalise by"
            raise refuse(what, where="train.batch_size", allowed="2 or more for this network", do="raise it") from error
        if run.config.compile and _is_the_compilers(error):
            what = f"the network can't be compiled: {said.splitlines()[0][:200]}"
            do = "install g++ (on CUDA triton too) and Python's headers, or set it to false"
            raise refuse(what, where="train.compile", do=do) from error
        raise


def _is_the_compilers(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # seconds to load, and loaded where something is compiled

    return isinstance(error, TorchDynamoException)


def one_by_one(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return each member's answers as rows of their own, [N * M, K] and [N * M], where there are several."""
    if output.ndim == 2:
        return output, target
    return output.flatten(0, 1), target.repeat_interleave(output.shape[1])


def rate(run: Run, state: State) -> float:
    """Return the learning rate of the step that comes next."""
    each = len(run.steps)
    moment = Moment(
        step=len(state.history) * each + state.step,
        steps=run.config.epochs * each,
        steps_per_epoch=each,
        improved=state.improved,
    )
    return run.config.optimizer.lr * rate_share(run.config.schedule, moment)


@torch.no_grad()
def average_(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move the average towards the network's weights and statistics; whole numbers, which count, are copied."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    real = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([old for old, _ in real], [new for _, new in real], 1 - decay)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)


def _augmented(run: Run, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if run.black is None or run.config.augment == Augment():
        return features
    return tuple(augment(run.config.augment, images, black=run.black) for images in features)
