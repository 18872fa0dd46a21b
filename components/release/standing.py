"""Bring challenger and champion before the gate: the same rows, the same machine, the same minute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.data.preparation import Preparation
from components.data.rows import Array, Rows
from components.errors import refuse
from components.evaluation.latency import Timing, latency
from components.models.model import load
from components.recipe import Aim
from components.release.gate import Standing
from components.release.releases import Release
from components.runtimes.config import ProfileConfig
from components.runtimes.feeds import Session, predict, repeated
from components.runtimes.table import RUNTIMES
from components.store.artifact import Artifact

ROUNDS = ProfileConfig(batch_sizes=(1,))


def face_off(
    open_artifact: Callable[[Artifact], Path],
    rows: Rows,
    *,
    name: str,
    aim: Aim,
    preparation: Preparation,
    onnx: Artifact,
    runtime: str,
    output: npt.NDArray[np.floating],
    champion: Release | None,
) -> tuple[Standing, Standing | None]:
    """Return how both stand: the challenger's `output` on the rows is known, the champion's is made here.

    A champion that needs columns which the data no longer has stands without an answer, for another target.

    Raises:
        Refusal: the champion's files are gone.
    """
    challenger = Standing(
        name=name,
        task=aim.task,
        target=aim.data.target,
        classes=preparation.target.classes,
        output=output,
        latency_ms=None,
        size_bytes=onnx.size_bytes,
    )
    if champion is None or len(rows) == 0:
        return challenger, None
    known = _preparation(open_artifact, champion)
    absent = [column for column in wanted_columns(known) if column not in rows.columns]
    if absent:
        what = f"The data no longer has columns that version {champion.version} needs ({', '.join(absent[:5])})"
        return challenger, replace(challenger, name=_name(champion), obstacle=what)
    ours = RUNTIMES[runtime](open_artifact(onnx), threads=1)
    theirs = RUNTIMES[champion.runtime](open_artifact(champion.onnx), threads=1)
    timed = _timed(ours, theirs, rows, preparation=preparation, known=known, seed=aim.seed)
    theirs_ms = timed["champion"].latency_ms[1].value
    # By the ratio within each round, which what else the machine does can't favour: not by two separate medians.
    ours_ms = theirs_ms / timed["challenger"].speedup[1].value
    reigning = Standing(
        name=_name(champion),
        task=champion.task,
        target=champion.target,
        classes=champion.classes,
        output=predict(theirs, known, rows),
        latency_ms=theirs_ms,
        size_bytes=champion.size_bytes,
    )
    return replace(challenger, latency_ms=ours_ms), reigning


def wanted_columns(preparation: Preparation) -> list[str]:
    """Return the raw columns that a model is asked with."""
    image = [preparation.image.name] if preparation.image else []
    numbers = [column.name for column in preparation.numbers]
    categories = [column.name for column in preparation.categories]
    return [*image, *numbers, *categories]


def _preparation(open_artifact: Callable[[Artifact], Path], champion: Release) -> Preparation:
    try:
        return load(open_artifact(champion.checkpoint)).spec.preparation
    except FileNotFoundError as error:
        raise refuse(
            f"the files of the champion, version {champion.version} of {champion.model}, are gone from the store",
            where=str(error),
            do="roll back to a version whose files are there, or promote the new one by hand",
        ) from error


def _timed(
    ours: Session, theirs: Session, rows: Rows, *, preparation: Preparation, known: Preparation, seed: int
) -> dict[str, Timing]:
    """Time both in turns; each is given its own feeds, so they share no session interface but `run`."""
    feeds = {"challenger": repeated(preparation, rows, batch_size=1), "champion": repeated(known, rows, batch_size=1)}
    sides = {"challenger": _Side(ours, feeds["challenger"]), "champion": _Side(theirs, feeds["champion"])}
    return latency("champion", sides, feeds={1: {}}, config=ROUNDS, seed=seed)


@dataclass(frozen=True, slots=True)
class _Side:
    """A session that answers its own batch, whatever it is given."""

    session: Session
    feeds: Mapping[str, Array]

    def run(self, feeds: Mapping[str, Array]) -> npt.NDArray[np.float32]:  # noqa: ARG002 - its own are used
        return self.session.run(self.feeds)


def _name(champion: Release) -> str:
    return f"{champion.model} {champion.version}"
