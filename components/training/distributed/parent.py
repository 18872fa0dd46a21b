"""Trains in several processes of this machine: hands the work out, listens, and takes the weights home.

Nothing outlives the parent: torchrun is on a leash of its, and the processes on one of torchrun's, however these end.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import TypeAdapter

from components.models.model import Model, ModelSpec
from components.models.tensors import read_note, read_tensors
from components.planning.machine import usable_cores
from components.training.device import device_of, settings
from components.training.distributed.lost import cause_of
from components.training.distributed.messages import hear
from components.training.distributed.work import FITTED, LOGS, Work, read_lost, read_refusal, write_work
from components.training.examples import Examples, dataset
from components.training.fingerprint import fingerprint_of
from components.training.job import Fitted, Job
from components.training.watch import Observer


def fit_by_processes(
    job: Job, model: Model, train: Examples, validation: Examples, *, spec: ModelSpec, observer: Observer
) -> Fitted:
    """Train the model's network, and leave it as `fit` does.

    Raises:
        Refusal: as `fit`; or there are more processes than GPUs.
        ProcessLost: a signal ended a process, or torchrun: called again, it goes on from there.
        OutOfMemory, RuntimeError: a process failed.
    """
    device = device_of(job.config)
    folder = job.folder.absolute() / "processes"
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    try:
        hand_out(job, folder, model=model, train=train, validation=validation, spec=spec, device=device)
        code = run_processes(job, folder, observer)
        return take_home(job, folder, model, code=code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hand_out(
    job: Job,
    folder: Path,
    *,
    model: Model,
    train: Examples,
    validation: Examples,
    spec: ModelSpec,
    device: torch.device,
) -> None:
    """Prepare the rows once for all processes, and write what they need."""
    config, target, cpu = job.config, model.head.target, torch.device("cpu")
    threads = config.threads or max(1, usable_cores() // config.distributed.processes)
    with settings(cpu, threads=config.threads):
        learned = dataset(train, model, target, device=cpu, channels_last=config.channels_last)
        judged = dataset(validation, model, target, device=cpu, channels_last=config.channels_last)
        name = fingerprint_of(model.network, config, learned, judged, metric=job.metric, seed=job.seed)
    job = replace(job, config=replace(config, threads=threads), folder=job.folder.absolute())
    work = Work(job=job, device=device.type, name=name)
    write_work(work, folder, model=model, spec=spec, train=learned, validation=judged)


def run_processes(job: Job, folder: Path, observer: Observer) -> int:
    """Run torchrun on the folder to its end, pass on what the first process tells, and return the exit code."""
    with _torchrun(folder, processes=job.config.distributed.processes) as torchrun:
        assert torchrun.stdout is not None
        for line in torchrun.stdout:
            hear(line, observer)
        return torchrun.wait()


def take_home(job: Job, folder: Path, model: Model, *, code: int) -> Fitted:
    """Load the best weights into the model's network, or raise what prevented them."""
    if refusal := read_refusal(folder):
        raise refusal
    if code or not (folder / FITTED).exists():
        processes = job.config.distributed.processes
        raise cause_of(read_lost(folder), folder, processes=processes, launcher=code)
    model.network.load_state_dict(read_tensors(folder / FITTED))
    model.eval()
    return TypeAdapter(Fitted).validate_python(read_note(folder / FITTED))


@contextmanager
def _torchrun(folder: Path, *, processes: int) -> Iterator[subprocess.Popen[str]]:
    """Start torchrun on a leash; at the end let go of it, and wait until the last process has closed its output."""
    log = folder / LOGS / "torchrun.log"
    log.parent.mkdir()
    command = ("components.leashed", "components.training.distributed.launcher", str(folder), str(processes))
    with log.open("wb") as errors:
        torchrun = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            env=_variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends them all
        )
    assert torchrun.stdin is not None
    assert torchrun.stdout is not None
    try:
        yield torchrun
    finally:
        torchrun.stdin.close()
        torchrun.stdout.read()
        torchrun.wait()
        torchrun.stdout.close()


def _variables() -> dict[str, str]:
    """Return the environment: this Python's path, since a user's network may lie anywhere on it, and loopback."""
    path = os.pathsep.join(str(Path(part).absolute()) for part in sys.path)
    lo = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    lo["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # which torchrun would open to all addresses of the machine
    return {**os.environ, **lo, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
