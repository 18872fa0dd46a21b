"""What `reap` leaves alone: what releases, results of late and runs at work reach."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from components.planning.held import RUN
from components.planning.history import released
from components.planning.ledger import Ledger
from components.reap.garbage import Garbage, Limits
from components.reap.marking import (
    Known,
    Registered,
    Result,
    data_of,
    kept_releases,
    kept_results,
    left_checkpoints,
    reached,
)
from components.reap.recorded import results_of
from components.release.releases import Release, Releases
from components.store.artifact import Artifact
from components.store.store import Store
from tasks.stage import Yard
from tasks.tracking.connecting import Client
from tasks.tracking.unended import began

STAGE: Final = "stage "  # begins the name of the lease of a stage that is worked at
Versions = Mapping[str, Mapping[int, Registered]]


def limits_of(yard: Yard, client: Client, *, keep_seconds: float) -> Limits:
    """Return from which age on things may go, as of now."""
    starts = [began(client, run) for run in yard.ledger.taken(RUN)]
    now = min(time.time(), yard.ledger.now())
    return Limits(now=now, keep_seconds=keep_seconds, oldest_run=min(starts, default=None))


@dataclass(frozen=True)
class Releasing:
    """The releases that stay, and how the registry has them."""

    kept: tuple[Known, ...]
    files: Mapping[tuple[str, int], Release]
    registry: Versions

    @property
    def named(self) -> set[tuple[str, int]]:
        """The models and versions of the kept releases."""
        return {(one.model, one.version) for one in self.kept}

    def artifacts(self) -> list[Artifact]:
        """Return what the kept releases are made of."""
        found = [self.files[one.model, one.version] for one in self.kept]
        named = [part for one in found for part in (one.onnx, one.checkpoint, one.assignments, one.report) if part]
        data = {data_of(one, self.registry) for one in self.kept} - {""}
        return named + [Artifact(digest=one, kind="folder", size_bytes=0, name="data") for one in data]


def releasing(yard: Yard, client: Client, limits: Limits) -> Releasing:
    """Ask the ledger and the registry which releases stay."""
    from tasks.registry import registered

    models = released(yard.ledger)
    files = {(one.model, one.version): one for model in models for one in Releases(yard.ledger, model).all()}
    known = [one for model in models for one in _known(Releases(yard.ledger, model), yard.registry)]
    registry = {model: registered(client, model) for model in models}
    return Releasing(tuple(kept_releases(known, registry, limits)), files, registry)


def _known(releases: Releases, registry: str) -> Iterable[Known]:
    champion, moves = releases.champion(), releases.moves()
    reigning = {champion.version} if champion else set()
    rises = [move for move in moves if move.moved and move.action == "promote" and move.version in reigning]
    reigning |= {move.replaced for move in rises if move.replaced}
    for one in releases.all():
        yield Known(
            model=one.model,
            version=one.version,
            at=one.at,
            assignments=one.assignments.digest,
            reigns=one.version in reigning,
            barred=releases.barred(one.version) is not None,
            here=one.registry in (None, registry),
        )


@dataclass(frozen=True)
class Staying:
    """The results that stay, as the ledger has them now."""

    ledger: Ledger
    limits: Limits
    releases: Releasing

    @cached_property
    def results(self) -> list[Result]:
        """All of them, those that may go too."""
        return list(results_of(self.ledger))

    @cached_property
    def kept(self) -> set[str]:
        """The keys of those that stay."""
        models = {one.model for one in self.releases.kept}
        latest = {one.key for model in models for one in self.ledger.history(model, "split", limit=1)}
        data = {one.digest for one in self.releases.artifacts() if one.name == "data"}
        return kept_results(self.results, self.releases.kept, self.limits, latest_splits=latest, data=data)

    def blobs(self, store: Store, *, everything: bool) -> set[str]:
        """Return the digests of all blobs that kept releases and results reach: those that stay, or `everything`."""
        keys = {one.key for one in self.results} if everything else self.kept
        going = set() if everything else {one.name for one in self.old_checkpoints}
        unfinished = [one.folder for key, one in self.ledger.checkpoints().items() if key not in going]
        return reached(self.results, keys) | _blobs([*self.releases.artifacts(), *unfinished], store)

    @cached_property
    def old_checkpoints(self) -> list[Garbage]:
        """The checkpoints that may go."""
        return list(left_checkpoints(self.ledger.checkpoints(), self.ledger.taken(STAGE), self.limits))


def _blobs(artifacts: Iterable[Artifact], store: Store) -> set[str]:
    found: set[str] = set()
    for one in artifacts:
        found.add(one.digest)
        with suppress(FileNotFoundError, ValueError):  # lost or damaged: nobody knows what was in it
            found.update(store.digests(one))
    return found
