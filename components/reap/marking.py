"""What is kept and what may go: decided from listings alone, which others make and act upon."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from components.planning.ledger import Checkpoint
from components.reap.garbage import Garbage, Kind, Limits
from components.store.artifact import Stored

SPLIT: Final = "split"
INGEST: Final = "ingest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a stage has recorded, as far as it matters here."""

    key: str
    stage: str
    label: str
    model: str
    used: float  # the last time, in seconds since 1970
    digests: tuple[str, ...]  # of every blob that it names
    size_bytes: int
    data: str = ""  # of `ingest` and `split`: the digest of the data set
    assignments: str = ""  # of `split`
    dvc_md5: str = ""  # of `ingest`
    going: bool = False  # nobody finds it any more; it only says which data is still to be removed


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A release in the ledger, and how it stands."""

    model: str
    version: int
    at: float  # it was registered
    assignments: str  # digest
    reigns: bool  # it is champion, or the one that the champion replaced: the next to be compared with, or gone back to
    barred: bool  # it can't become champion without force
    here: bool  # in the registry that is asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A version as the registry has it."""

    aliases: AbstractSet[str] = frozenset()
    data: str = ""  # digest of its data set, where it says


def kept_releases(
    known: Iterable[Known], registry: Mapping[str, Mapping[int, Registered]], limits: Limits
) -> list[Known]:
    """Return the releases whose bytes stay.

    `registry` has the versions of each model. Of a model that it doesn't know at all, and of versions that are
    elsewhere, nothing can be told: they stay.
    """
    return [one for one in known if _stays(one, registry.get(one.model) or {}, limits)]


def _stays(one: Known, versions: Mapping[int, Registered], limits: Limits) -> bool:
    if one.reigns or one.at >= limits.used_before or not one.here or not versions:
        return True
    found = versions.get(one.version)  # None: somebody has deleted it
    return found is not None and (bool(found.aliases) or not one.barred)


def kept_results(
    results: Sequence[Result],
    releases: Iterable[Known],
    limits: Limits,
    *,
    latest_splits: AbstractSet[str] = frozenset(),
    data: AbstractSet[str] = frozenset(),
) -> set[str]:
    """Return the keys of the results that stay.

    They are those that were used of late; the split of every release and the latest one of its model
    (`latest_splits`), which the next one continues; and how their data sets, and those named by `data`, were taken in.
    """
    assignments = {one.assignments for one in releases}
    kept = {one.key for one in results if one.used >= limits.used_before}
    splits = [one for one in results if one.stage == SPLIT]
    kept |= {one.key for one in splits if one.assignments in assignments or one.key in latest_splits}
    data = data | {one.data for one in splits if one.key in kept}
    return kept | {one.key for one in results if one.stage == INGEST and one.data in data}


def old_results(results: Iterable[Result], kept: AbstractSet[str]) -> list[Garbage]:
    """Return the results that may go. Their bytes are objects, which others may name too."""
    return [
        Garbage("results", one.key, None, one.used, note=f"{one.model} {one.label}")
        for one in results
        if one.key not in kept and not one.going
    ]


def left_checkpoints(
    checkpoints: Mapping[str, Checkpoint], running: AbstractSet[str], limits: Limits
) -> Iterable[Garbage]:
    """Yield the checkpoints, by key, of stages that nobody is at."""
    for key, one in checkpoints.items():
        if one.at < limits.made_before and key not in running:
            yield Garbage("checkpoints", key, None, one.at)


def reached(results: Iterable[Result], kept: AbstractSet[str]) -> set[str]:
    """Return the digests of all blobs that kept results name."""
    return {digest for one in results if one.key in kept for digest in one.digests}


def unreached(stored: Iterable[Stored], marked: AbstractSet[str], limits: Limits) -> Iterable[Garbage]:
    """Yield what of a store may go: blobs that aren't marked, copies of them, and what was begun and not ended."""
    kinds: dict[str, Kind] = {"object": "objects", "copy": "copies", "upload": "uploads"}
    for one in stored:
        if one.at < limits.made_before and (one.kind == "upload" or one.name not in marked):
            yield Garbage(kinds[one.kind], one.name, one.size_bytes, one.at)


def old_data(
    there: Iterable[Stored],
    *,
    kept: AbstractSet[str],
    going: AbstractSet[str] | None,
    limits: Limits,
) -> Iterable[Garbage]:
    """Yield what of a DVC remote may go: pieces by their MD5, which versions that stay (`kept`) don't have.

    `going` are the pieces of versions that go. In a remote that isn't the home's own no others do: what nobody here
    knows may be anybody's. None: it is the home's own.
    """
    for one in there:
        if one.at < limits.made_before and one.name not in kept and (going is None or one.name in going):
            yield Garbage("data", one.name, one.size_bytes, one.at)


def unknown_data(
    releases: Iterable[Known],
    registry: Mapping[str, Mapping[int, Registered]],
    results: Sequence[Result],
    kept: AbstractSet[str],
) -> list[Known]:
    """Return the releases of which no result that stays says under which MD5 DVC has their data."""
    by_split = {one.assignments: one.data for one in results if one.stage == SPLIT}
    taken_in = {one.data for one in results if one.stage == INGEST and one.key in kept and one.dvc_md5}
    return [one for one in releases if (data_of(one, registry) or by_split.get(one.assignments)) not in taken_in]


def data_of(one: Known, registry: Mapping[str, Mapping[int, Registered]]) -> str:
    """Return the digest of a release's data set, as the registry says it."""
    return registry.get(one.model, {}).get(one.version, Registered()).data
