"""One process of several trainings, one after the other: starting processes takes long.

`torchrun … -m tests.components.training.distributed.several FOLDER[@STEP] …`: @STEP ends the training behind that step.
"""

import sys
from contextlib import suppress
from pathlib import Path

import torch

from components.training.distributed.processes import joined
from components.training.distributed.rank import take_part
from components.training.distributed.work import MEETING
from components.training.watch import Silent
from tests.components.training.test_resume import KillAt, Killed


def main() -> None:
    device = torch.device("cpu")
    with joined(device, Path(sys.argv[1].partition("@")[0]) / MEETING):
        for argument in sys.argv[1:]:
            folder, _, step = argument.partition("@")
            with suppress(Killed):
                take_part(Path(folder), device, KillAt(step=int(step)) if step else Silent())


if __name__ == "__main__":
    main()
