"""Bring challenger and champion before the gate: the same rows, the same machine, the same minute."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.aim import Aim
from components.data.config import ColumnKind, DataConfig
from components.data.preparing.preparation import Preparation
from components.data.rows import Array, Rows
from components.errors import Refusal
from components.evaluation.interval import Interval
from components.evaluation.latency import latency_over_sessions
from components.export.metadata import Columns, read_columns
from components.gate.gate import Standing
from components.models.model import read_preparation
from components.release.releases import Release
from components.runtimes.config import ProfileConfig
from components.runtimes.feeds import Session, predict, repeated
from components.runtimes.table import RUNTIMES
from components.store.artifact import Artifact
from components.store.store import Store

ROUNDS = ProfileConfig(batch_sizes=(1,), rounds=180)


def face_off(
    store: Store,
    rows: Rows,
    *,
    name: str,
    aim: Aim,
    preparation: Preparation,
    onnx: Artifact,
    runtime: str,
    output: npt.NDArray[np.floating],
    champion: Release | None,
    obstacle: str,
) -> tuple[Standing, Standing | None]:
    """Return how both stand: the challenger's `output` on the rows is known, the champion's is made here.

    `obstacle` says why it can't be told which of the rows the champion learned from; it is empty where it can.

    A champion that can't answer these rows, or of which it can't be told what rows it learned from, stands without
    an answer, and with the obstacle.
    """
    challenger = Standing(
        name=name,
        task=aim.task,
        target=aim.data.target,
        classes=preparation.target.classes,
        output=output,
        slowdown=None,
        size_bytes=onnx.size_bytes,
    )
    if champion is None or len(rows) == 0:
        return challenger, None
    obstacle = (
        damage(store, champion)
        or obstacle
        or changed_columns(read_columns(store.get(champion.onnx)), aim.data, champion)
    )
    silent = replace(challenger, name=_name(champion), output=np.empty((0, 0), dtype=np.float32), obstacle=obstacle)
    if obstacle:
        return challenger, silent
    ours, theirs = (Model(store.get(onnx), runtime), Model(store.get(champion.onnx), champion.runtime))
    checkpoint = store.get(champion.checkpoint)
    try:
        known = read_preparation(checkpoint)
        answered = predict(theirs.session(), known, rows)
    except Refusal as refusal:
        why = f"{_name(champion)} can't answer these rows ({refusal.problems[0].what})"
        return challenger, replace(silent, obstacle=why)
    reigning = Standing(
        name=_name(champion),
        task=champion.task,
        target=champion.target,
        classes=champion.classes,
        output=answered,
        slowdown=None,
        size_bytes=champion.size_bytes,
    )
    return replace(
        challenger, slowdown=slowdown(ours, theirs, rows, ours_by=preparation, theirs_by=known, seed=aim.seed)
    ), reigning


@dataclass(frozen=True, slots=True)
class Model:
    """A file and the runtime that answers with it."""

    file: Path
    runtime: str

    def session(self) -> Session:
        """Load it anew."""
        return RUNTIMES[self.runtime](self.file, threads=1)


def slowdown(
    challenger: Model, champion: Model, rows: Rows, *, ours_by: Preparation, theirs_by: Preparation, seed: int
) -> Interval:
    """Return the challenger's latency of one row as a ratio of the champion's, timed in turns."""
    ours, theirs = repeated(ours_by, rows, batch_size=1), repeated(theirs_by, rows, batch_size=1)

    def opened() -> dict[str, Session]:
        return {"challenger": _Side(challenger.session(), ours), "champion": _Side(champion.session(), theirs)}

    # By the ratio within each round, which what else the machine does can't favour: not by two separate medians.
    timed = latency_over_sessions("challenger", opened, feeds={1: {}}, config=ROUNDS, seed=seed)
    return timed["champion"].speedup[1]


def damage(store: Store, champion: Release) -> str:
    """Return in words which of the champion's files is gone or was changed since it was released, or nothing."""
    files = {"model": champion.onnx, "checkpoint": champion.checkpoint, "split": champion.assignments}
    bad = [name for name, artifact in files.items() if store.digest_now(artifact) != artifact.digest]
    return f"The {' and the '.join(bad)} of {_name(champion)} in the store is gone or damaged" if bad else ""


def changed_columns(known: Columns, data: DataConfig, champion: Release) -> str:
    """Return in words how the data's columns differ from those that the champion learned, or nothing.

    With other columns, or one of another kind, a row has another content hash: it can't be told which rows the
    champion learned from.
    """
    theirs, ours = _read(known.kinds), _read(data.columns)
    other = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    names = ", ".join(f"'{name}'" for name in other[:5])
    return f"The data's columns aren't those that {_name(champion)} learned ({names})" if other else ""


def _read(columns: Mapping[str, ColumnKind]) -> dict[str, ColumnKind]:
    return {name: kind for name, kind in columns.items() if kind != "ignore"}


@dataclass(frozen=True, slots=True)
class _Side:
    """A session that answers its own batch, whatever it is given."""

    session: Session
    feeds: Mapping[str, Array]

    def run(self, feeds: Mapping[str, Array]) -> npt.NDArray[np.float32]:  # noqa: ARG002 - its own are used
        return self.session.run(self.feeds)


def _name(champion: Release) -> str:
    return f"{champion.model} {champion.version}"
