"""Releases: listed, shown, promoted by hand, rolled back, and their reports."""

import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.errors import Refusal, nearest, refuse
from components.home import WHICH, Home
from components.planning.history import released
from components.recipe_file import without_secrets
from components.release.releases import Action, Move, Release, Releases, State
from components.release.status import Word, status
from components.settings import settings_of
from components.store.folder import sha256
from components.task import Metric, Task
from flows.layout import REPORT, folder_of, lay
from flows.servers.backend import enter_registry
from flows.state import ledger_of, store_of

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A registered version at a glance."""

    model: str
    version: int
    champion: bool
    barred: str | None  # why it isn't promoted again without force
    state: Word
    decided: str | None  # ISO 8601: since when it stands so
    reason: str
    candidate: str
    task: Task
    metric: Metric
    value: float  # of the metric, on test rows
    size_bytes: int
    latency_ms: dict[str, float]  # by batch size
    at: str  # ISO 8601
    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One entry of the audit log."""

    action: Action
    version: int
    replaced: int | None
    state: State
    actor: str
    reason: str
    at: str  # ISO 8601


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A registered version, with what it was tested with and what was decided about it."""

    version: Listed
    runtime: str
    target: str
    classes: tuple[str, ...]
    test: dict[Metric, float]
    onnx_sha256: str
    checkpoint_sha256: str
    assignments_sha256: str
    decisions: tuple[Decision, ...]


def releases_of(home: Home, model: str) -> Releases:
    """Return the releases of a model. Raises Refusal where it has none."""
    ledger = ledger_of(home)
    names = released(ledger)
    if model not in names:
        do = nearest(model, names) or f"`steelyard run RECIPE` makes one; {WHICH}"
        raise refuse(
            f"no model '{model}' was ever released", where=str(home.root), allowed=", ".join(names) or "", do=do
        )
    return Releases(ledger, model)


def release_of(home: Home, model: str, version: int | None) -> Release:
    """Return a version of a model, by default its champion. Raises Refusal where there is none."""
    releases = releases_of(home, model)
    if version is not None:
        return releases.get(version)
    champion = releases.champion()
    if champion is None:
        there = ", ".join(str(one.version) for one in reversed(releases.all()))
        raise refuse(
            f"{model} has no champion yet", allowed=f"--version {there}", do="or promote one of these versions"
        )
    return champion


def listed(home: Home, model: str | None, *, say: Say) -> list[Listed]:
    """Return the registered versions, the newest of each model first; `say` tells where the registry can't be asked."""
    ledger = ledger_of(home)
    names = [releases_of(home, model).model] if model else released(ledger)
    found: list[Listed] = []
    for name in names:
        releases = Releases(ledger, name)
        gone = _gone(home, releases, say=say)
        if moved := moved_elsewhere(home, releases, gone=gone):
            say(moved)
        found += [_listed(release, releases, gone) for release in releases.all()]
    return found


def shown(home: Home, model: str, version: int | None, *, say: Say) -> Shown:
    """Return what is known of one version, with every decision about it, the oldest first; `say` as of `listed`."""
    release = release_of(home, model, version)
    releases = releases_of(home, model)
    about = [move for move in releases.moves() if release.version in (move.version, move.replaced)]
    return Shown(
        version=_listed(release, releases, _gone(home, releases, say=say)),
        runtime=release.runtime,
        target=release.target,
        classes=release.classes,
        test=release.test,
        onnx_sha256=release.onnx.digest,
        checkpoint_sha256=release.checkpoint.digest,
        assignments_sha256=release.assignments.digest,
        decisions=tuple(map(_decision, about)),
    )


def promote_by_hand(
    home: Home, model: str, version: int, *, expected: int | None, reason: str, force: bool = False
) -> str:
    """Make a version champion, and say so. `expected` is the champion that the caller saw; 0 means none.

    Raises:
        Refusal: the champion is another one, the version is barred, or it doesn't answer as it should.
    """
    releases = releases_of(home, model)
    release, champion = releases.get(version), releases.champion()
    current = None if champion is None else champion.version
    enter_registry(home)
    from tasks.promote import move_champion, whoever
    from tasks.registry import alias
    from tasks.tracking.connecting import client_here

    if current == version and expected in (None, version) and alias(client_here(), model) == version:
        return f"version {version} of {model} is champion already"
    seen = current if expected is None else expected or None
    move_champion(releases, release.version, "promote", expected=seen, actor=whoever(), reason=reason, force=force)
    return f"version {version} of {model} is champion, instead of {_named(current)}"


def roll_back(home: Home, model: str, *, to: int | None, reason: str) -> str:
    """Make an earlier version champion again: the one that the champion replaced, if none is named.

    Raises:
        Refusal: there is no champion, or none before it, or the version doesn't answer as it should.
    """
    releases = releases_of(home, model)
    champion = releases.champion()
    if champion is None:
        raise refuse(f"{model} has no champion to roll back from", do="`steelyard promote MODEL VERSION` makes one")
    enter_registry(home)
    from tasks.promote import move_champion, whoever
    from tasks.registry import versions
    from tasks.tracking.connecting import client_here

    gone = {release.version for release in releases.all()}.difference(versions(client_here(), model))
    version = _replaced_by(champion, releases, gone) if to is None else releases.get(to).version
    if version == champion.version:
        raise refuse(f"version {version} of {model} is champion already", do="name another one with --to")
    move_champion(releases, version, "rollback", expected=champion.version, actor=whoever(), reason=reason)
    left = f"version {champion.version} comes back by `promote --force` only"
    return f"version {version} of {model} is champion again; {left}"


def report_of(home: Home, model: str, version: int | None) -> Path:
    """Return the path of a version's report, where its run laid it; if it is gone, it is laid there again.

    It is taken from the store, and where that has lost it, from the registry.
    """
    release = release_of(home, model, version)
    folder = folder_of(home, model, release.report or release.onnx)
    if (folder / REPORT).exists():
        return folder / REPORT
    store = store_of(home)
    if release.report and store.digest_now(release.report) == release.report.digest:
        lay({REPORT: store.get(release.report)}, folder)
    else:
        _lay_from_registry(home, release, folder)
    return folder / REPORT


def _lay_from_registry(home: Home, release: Release, folder: Path) -> None:
    enter_registry(home)
    from tasks.registry import bring

    with tempfile.TemporaryDirectory() as place:
        page = bring(release.model, release.version, into=Path(place)) / "artifacts" / REPORT
        if not page.is_file() or (release.report and sha256(page) != release.report.digest):
            name = f"{release.model} version {release.version}"
            what = f"the report of {name} is lost: the store no longer has it, and the registry has "
            what += "another page" if page.is_file() else "none"
            do = "bring the store back from a backup; `steelyard show` has the figures that were kept"
            raise refuse(what, do=do)
        lay({REPORT: page}, folder)


def _replaced_by(champion: Release, releases: Releases, gone: Collection[int]) -> int:
    """Return the version that the champion replaced when it last rose, unless it is gone from the registry."""
    rises = [
        move.replaced
        for move in releases.moves()
        if (move.version, move.state, move.action) == (champion.version, "done", "promote")
        and move.replaced != champion.version  # its alias was only mended
    ]
    if not rises or rises[-1] is None:
        raise _nothing_before(f"version {champion.version} of {releases.model} replaced no other", releases, gone)
    if rises[-1] in gone:
        what = f"version {rises[-1]} of {releases.model}, the champion before, is gone from the registry"
        raise _nothing_before(what, releases, gone)
    return rises[-1]


def _nothing_before(what: str, releases: Releases, gone: Collection[int]) -> Refusal:
    """Say which earlier champions there are to go back to, and how one that is barred would rise again."""
    champion = releases.champion()
    there = {one.version for one in releases.all() if champion is None or one.version != champion.version}
    earlier = [version for version in sorted(there.difference(gone), reverse=True) if releases.was_champion(version)]
    if not earlier:
        return refuse(what, allowed="none: no other version that is there was ever champion")
    if free := [str(version) for version in earlier if not releases.barred(version, back=True)]:
        return refuse(what, allowed=f"--to {', '.join(free)}")
    forced = f"`steelyard promote {releases.model} {earlier[0]} --force`, if you know better"
    return refuse(what, allowed="none: the champions of before are barred", do=forced)


def _gone(home: Home, releases: Releases, *, say: Say) -> set[int]:
    """Return the versions that the registry no longer has. Where it can't be asked, that is said."""
    from tasks.registry import known_versions

    uri = settings_of(home).mlflow_tracking_uri
    here = (None, without_secrets(uri or ""))  # what was registered elsewhere isn't looked for
    ours = {release.version for release in releases.all() if release.registry in here}
    try:
        if uri is not None:
            enter_registry(home)
        return ours - known_versions(home, releases.model, uri=uri)
    except Refusal as refusal:
        say(f"versions that were deleted in MLflow aren't told: {refusal.problems[0].what}")
        return set()


def moved_elsewhere(home: Home, releases: Releases, *, gone: Collection[int] = ()) -> str:
    """Say where the registry's alias names another version than the record does; nothing where it can't be asked.

    That it names none is told only where the recorded champion is there: it isn't among the versions `gone`.
    """
    from tasks.registry import named_champion

    uri, champion = settings_of(home).mlflow_tracking_uri, releases.champion()
    if champion is None or champion.registry not in (None, without_secrets(uri or "")):
        return ""
    with suppress(Refusal):
        actual = named_champion(home, releases.model, uri=uri)
        if actual != champion.version and not (actual is None and champion.version in gone):
            return (
                f"the registry's alias `champion` names {_named(actual)} of {releases.model}, the record says "
                f"{_named(champion.version)}: it was changed elsewhere, or an older registry was put back; "
                f"`steelyard promote {releases.model} VERSION --force` sets both"
            )
    return ""


def _listed(release: Release, releases: Releases, gone: Collection[int]) -> Listed:
    barred, stands = releases.barred(release.version), status(releases, release.version, gone=gone)
    return Listed(
        model=releases.model,  # which says so where its registry was lost
        version=release.version,
        champion=stands.word == "champion",
        barred=None if barred is None else barred.objection,
        state=stands.word,
        decided=None if stands.at is None else _time(stands.at),
        reason=stands.reason,
        candidate=release.candidate,
        task=release.task,
        metric=release.metric,
        value=release.test[release.metric],
        size_bytes=release.size_bytes,
        latency_ms=release.latency_ms,
        at=_time(release.at),
        run_id=release.run_id,
    )


def _decision(move: Move) -> Decision:
    return Decision(
        action=move.action,
        version=move.version,
        replaced=move.replaced,
        state=move.state,
        actor=move.actor,
        reason=move.reason,
        at=_time(move.at),
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
