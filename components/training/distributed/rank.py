"""One process of a training: `torchrun --nproc-per-node N -m components.training.distributed.rank FOLDER`.

It reads the work that its parent left in the folder, and runs the loop on its share of every batch.
"""

import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final, TextIO

import torch

from components.errors import Refusal
from components.memory import short_memory
from components.models.model import load
from components.models.tensors import write_tensors
from components.training.config import DDP
from components.training.device import settings
from components.training.distributed.batch_norm import synchronised
from components.training.distributed.messages import Teller, own_output
from components.training.distributed.processes import Processes, joined, own_device
from components.training.distributed.rows import map_rows
from components.training.distributed.work import (
    FITTED,
    MEETING,
    MODEL,
    TRAIN,
    VALIDATION,
    Lost,
    read_work,
    write_lost,
    write_refusal,
)
from components.training.loop import run_of, train_
from components.training.watch import Observer, Silent

LAST_SECONDS: Final = 1.0  # torchrun looks ten times a second: it finds one that was killed before those that lost it


def main() -> None:
    """Take part in the training of the folder, and leave word there of a bad end."""
    folder, rank, line = Path(sys.argv[1]), int(os.environ["RANK"]), own_output()
    try:
        device = own_device(read_work(folder).device)
        with joined(device, folder / MEETING):
            take_part(folder, device, Silent() if rank else _teller(line))
    except Refusal as refusal:
        write_refusal(refusal, folder)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what libraries in Rust raise where memory is short is no Exception
        write_lost([Lost(rank=rank, at=time.time(), short_of=short_memory(error))], folder, by=str(rank))
        time.sleep(LAST_SECONDS)
        raise


def take_part(folder: Path, device: torch.device, observer: Observer) -> None:
    """Run the loop; the first process leaves the best weights in the folder."""
    work, loaded = read_work(folder), load(folder / MODEL)
    job, config = work.job, work.job.config
    assert isinstance(config.distributed, DDP)
    together = Processes(config.distributed, device, theirs=loaded.spec.network.family == "custom")
    with settings(device, threads=config.threads):
        network = synchronised(loaded.model.network, device)
        learned, judged = (
            map_rows(folder / name, device=device, channels_last=config.channels_last) for name in (TRAIN, VALIDATION)
        )
        run = run_of(job, loaded.model, learned, judged, device=device, together=together)
        fitted = train_(run, network, name=work.name, folder=job.folder, observer=observer)
    if together.rank == 0:
        write_tensors(folder / FITTED, network.state_dict(), note=asdict(fitted))


def _teller(line: TextIO) -> Teller:
    """Return the observer that tells the parent, which hears of log records too."""
    teller = Teller(line)
    logging.basicConfig(handlers=[teller], level=logging.INFO)
    return teller


if __name__ == "__main__":
    main()
