"""`reap`: list what nothing live refers to, and remove it where that is asked for. docs/decisions/0014 says why so."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from components.errors import Refusal, refuse
from components.home import Home
from components.planning.held import DATA, REAP, RUN, Hold, Taken, living, wait_for
from components.reap.folders import (
    left_downloads,
    left_folders,
    left_temporary,
    left_work,
    remove_checkpoint,
    remove_folder,
    remove_work,
)
from components.reap.garbage import DAY, GRACE_SECONDS, MEANING, Garbage, Kind, Limits
from components.reap.marking import old_data, old_results, unknown_data, unreached
from components.reap.processes import Alive, left_processes
from components.reap.recorded import forget
from components.settings import settings_of
from components.store.artifact import Stored
from components.store.blobs import Blobs
from flows.reap.staying import STAGE, Releasing, Staying, limits_of, releasing
from flows.running import yard_of
from flows.servers.backend import enter_registry
from flows.servers.environment import enter
from flows.servers.leftover import end, home_processes
from flows.servers.reaching import reach
from flows.servers.recorded import recorded
from flows.servers.services import running
from flows.state import remote_blobs
from tasks.stage import Yard

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from tasks.tracking.connecting import Client

WORKER: Final = "worker of "
CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was found, or removed, and what was left out and why."""

    removed: bool
    found: list[Garbage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def by_kind(self) -> dict[Kind, list[Garbage]]:
        """Return it by kind, in the order in which it is removed, the oldest first."""
        kinds: dict[Kind, list[Garbage]] = defaultdict(list)
        for one in self.found:
            kinds[one.kind].append(one)
        return {kind: sorted(some, key=lambda one: one.at) for kind, some in kinds.items()}

    @property
    def size_bytes(self) -> int:
        """The bytes of all of it, of which they are known."""
        return sum(one.size_bytes or 0 for one in self.found)

    def told(self) -> dict[str, object]:
        """Return all of it for scripts."""
        kinds = [
            {
                "kind": kind,
                "meaning": MEANING[kind],
                "count": len(some),
                "size_bytes": sum(one.size_bytes or 0 for one in some),
                "items": [{**asdict(one), "at": _time(one.at)} for one in some],
            }
            for kind, some in self.by_kind().items()
        ]
        return {"removed": self.removed, "size_bytes": self.size_bytes, "kinds": kinds, "left_out": self.notes}


def reap(home: Home, *, keep_days: float, remove: bool) -> Reaped:
    """Find what may go; with `remove`, remove it: what refers to others first, then the bytes.

    Raises:
        Refusal: another `reap` is at work, or a server that has to be asked what is in use can't be.
    """
    yard = yard_of(home, "")
    if not yard.ledger.database.exists():
        return Reaped(remove)
    with _alone(yard) if remove else nullcontext():
        enter_registry(home)
        from tasks.tracking.connecting import client_here

        client = client_here()
        limits = limits_of(yard, client, keep_seconds=keep_days * DAY)
        round_ = _Round(yard, client, limits, remove, Reaped(remove), releasing(yard, client, limits))
        round_.go()
        return round_.reaped


@contextmanager
def _alone(yard: Yard) -> Iterator[None]:
    try:
        with living(REAP, yard.ledger, seconds=yard.lease_seconds):
            yield
    except Taken:
        what = "another `reap`, or a promotion with --force, is at work here"
        raise refuse(what, where=yard.ledger.database.name, do="wait for it to end") from None


@dataclass(slots=True)
class _Round:
    """One look at everything, in the order in which things may be removed."""

    yard: Yard
    client: "Client"
    limits: Limits
    remove: bool
    reaped: Reaped
    releases: Releasing  # that stay, as they were when it was last looked

    def go(self) -> None:
        """Look at each kind, and remove what was found, if that is asked for."""
        with ExitStack() as stack:
            prefect = self._prefect(stack)
            self._requests(prefect)
            self._processes(prefect)
            self._runs()
            self._results()
            self._store()
            self._folders()
            self._data()
            self._rows(prefect)
            if self.remove:
                self.yard.ledger.forget_leases(seconds=GRACE_SECONDS)

    def _take(
        self,
        found: Iterable[Garbage],
        away: Callable[[Garbage], bool],
        *,
        at_once: int = 1,
        still: Callable[[], bool] = lambda: True,
    ) -> None:
        """Note what was found; what is to be removed counts where it was, and goes as long as it `still` may."""
        with ThreadPoolExecutor(at_once) as pool:
            for some in _chunks(found):
                if self.remove and not still():
                    return
                gone = pool.map(away, some) if self.remove else [True] * len(some)
                self.reaped.found.extend(one for one, went in zip(some, gone, strict=True) if went)

    def _note(self, text: str) -> None:
        self.reaped.notes.append(text)

    def _look(self) -> None:
        """Look again which releases stay: somebody may have given one an alias meanwhile."""
        self.releases = releasing(self.yard, self.client, self.limits)

    def _none_pinned(self) -> bool:
        """Say whether no release stays by now that could go when it was last looked."""
        before, now = self.releases, releasing(self.yard, self.client, self.limits)
        pinned = before.files.keys() & (now.named - before.named)
        for model, version in sorted(pinned):
            self._note(f"{model} {version} was given an alias meanwhile: look again, and the rest is removed")
        return not pinned

    def _prefect(self, stack: ExitStack) -> "SyncPrefectClient | None":
        """Return a client of the Prefect that is set or up; it isn't started only to be tidied."""
        settings, up = settings_of(self.yard.home), running(self.yard.home)
        if settings.prefect_api_url is None and up is None:
            self._note("flow runs: no Prefect server is up; `steelyard up` first, and its rows are looked at too")
            return None
        try:
            reach(settings, "prefect_api_url")
        except Refusal as refusal:
            self._note(f"flow runs: Prefect {refusal.problems[0].what}")
            return None
        enter(self.yard.home, prefect_url=None if up is None else up.prefect_api_url)
        from httpx import HTTPError
        from prefect.client.orchestration import get_client

        from tasks.remote.patience import ailment, asked_once

        client = stack.enter_context(get_client(sync_client=True))
        try:
            with asked_once():
                client.count_flow_runs()
        except HTTPError as error:
            self._note(f"flow runs: Prefect {ailment(error)}")
            return None
        return client

    def _requests(self, prefect: "SyncPrefectClient | None") -> None:
        """Withdraw what dead runs have asked for: the next worker would begin it."""
        if prefect is None:
            return
        from tasks.remote.rows import waiting_rows, withdraw

        ledger = self.yard.ledger
        waiting = waiting_rows(prefect, ledger=ledger.identity())
        alive = ledger.taken(RUN)  # after the question who waits: nobody asks before they live
        found = [Garbage("requests", one.id, None, one.since, one.name) for one in waiting if one.run not in alive]
        self._take(found, lambda one: withdraw(prefect, one.name))

    def _processes(self, prefect: "SyncPrefectClient | None") -> None:
        from tasks.remote.rows import asked_by

        found, ledger = list(home_processes(self.yard.home)), self.yard.ledger
        stages = [one.flow_run for one in found if one.flow_run]
        alive = Alive(
            run_of={} if prefect is None else {one: run for one in stages if (run := asked_by(prefect, one))},
            flow_runs=ledger.taken(WORKER),
            runs=ledger.taken(RUN),  # after the question who is asked for: nobody asks before they live
            services={one.mark for one in recorded(self.yard.home)},
        )
        self._take(left_processes(found, alive, now=self.limits.now), lambda one: end(one.name))

    def _runs(self) -> None:
        """End what MLflow believes to run. Only runs that were begun under this ledger can be told from others'."""
        from tasks.tracking.unended import end_open, open_runs

        ledger = self.yard.ledger
        there = open_runs(self.client, ledger.identity())
        living_runs = ledger.taken(RUN)
        found = [
            Garbage("runs", one.run_id, None, one.began, note=f"{one.model} {one.name}")
            for one in there
            if one.parent not in living_runs and one.began < self.limits.made_before
        ]
        self._take(found, lambda one: end_open(self.client, one.name))

    def _results(self) -> None:
        """Forget the results that are old, but of data which of it is still to be removed; and the checkpoints."""
        self._look()
        before, ledger, used_before = self._staying(), self.yard.ledger, self.limits.used_before
        of_data = {one.key for one in before.results if one.dvc_md5}
        self._take(
            old_results(before.results, before.kept),
            lambda one: forget(ledger, one.name, used_before=used_before, data_stays=one.name in of_data),
            still=self._none_pinned,
        )
        self._take(before.old_checkpoints, lambda one: remove_checkpoint(one, ledger))

    def _staying(self) -> Staying:
        """Return what stays of the results that are there now."""
        return Staying(self.yard.ledger, self.limits, self.releases)

    def _store(self) -> None:
        """Look at the store, and what this machine keeps of it, if this ledger alone knows what is in use there."""
        store = self.yard.store
        if self._is_ours(store.blobs, "objects", settings_of(self.yard.home).store or str(self.yard.home.store)):
            self._look()
            marked = self._staying().blobs(store, everything=self.remove)
            folders = list(left_folders(store.laid_out(), marked, self.limits))  # before objects go
            self._take(
                unreached(store.blobs.stored(), marked, self.limits),
                lambda one: store.blobs.remove(_stored(one), before=self.limits.made_before),
                at_once=store.blobs.at_once,
                still=self._none_pinned,
            )
            self._take(folders, lambda one: remove_folder(one, before=self.limits.made_before))

    def _folders(self) -> None:
        home, ledger, limits = self.yard.home, self.yard.ledger, self.limits
        crews = [one.created for one in recorded(home) if one.name.startswith("worker") and one.alive]
        since = min(crews, default=None)
        self._take(
            left_work(home.work, ledger.taken(STAGE), limits),
            lambda one: remove_work(one, ledger, before=limits.made_before),
        )
        self._take(
            left_temporary(home.prefect / "workers", limits, worker_since=since),
            lambda one: remove_folder(one, before=limits.made_before),
        )
        self._take(left_downloads(home.dvc_imports, limits), lambda one: remove_folder(one, before=limits.used_before))

    def _data(self) -> None:
        """Look at the DVC remote. What is there already isn't sent again, so its age says nothing of who needs it."""
        if not self._is_ours(remote_blobs(self.yard.home), "data", self.yard.remote.url):
            return
        ledger, hold = self.yard.ledger, Hold(DATA)
        if self.remove:
            wait_for(DATA, ledger)  # of a `reap` that was killed
        with living(DATA, ledger, seconds=self.yard.lease_seconds) if self.remove else nullcontext(hold) as hold:
            if ledger.taken(STAGE):  # asked under the lease: a stage that begins now waits before it sends any
                self._note("data: a stage is at work, perhaps on data; look again when it is done")
                return
            self._look()
            self._old_data(self._staying(), hold)

    def _old_data(self, staying: Staying, hold: Hold) -> None:
        """Take what no result and no release that stays was made of."""
        own = settings_of(self.yard.home).dvc_remote is None
        kept = [one for one in staying.results if one.key in staying.kept]
        if lost := unknown_data(self.releases.kept, self.releases.registry, kept, staying.kept):
            names = ", ".join(f"{one.model} {one.version}" for one in lost[:5])
            self._note(f"data: it isn't known any more which data set is that of {names}, so all of them stay")
            return
        rest = [one for one in staying.results if one.key not in staying.kept and one.dvc_md5]
        old = [one for one in rest if one.going or not self.remove]  # a use that comes now finds no other result
        from tasks.versioning import pieces

        with pieces(self.yard.remote) as there:
            needed = {name for one in kept if one.dvc_md5 for name in there.of(one.dvc_md5)}
            of_each = {one.key: there.of(one.dvc_md5) - needed for one in old}
            going = sorted(set().union(*of_each.values()), key=_is_list)  # which says what else there is: last
            self._take(
                old_data(
                    there.all() if own else there.look(going),
                    kept=needed,
                    going=None if own else set(going),
                    limits=self.limits,
                ),
                lambda one: not hold.lost and there.remove(_stored(one), before=self.limits.made_before),
                still=self._none_pinned,
            )
            if self.remove:
                left = {one.name for one in there.look(going)}
                for key in (key for key, names in of_each.items() if left.isdisjoint(names)):
                    forget(self.yard.ledger, key, used_before=self.limits.used_before)

    def _rows(self, prefect: "SyncPrefectClient | None") -> None:
        if prefect is None:
            return
        from tasks.remote.rows import old_rows, remove_row

        def remove(one: Garbage) -> bool:
            remove_row(prefect, one.name)
            return True

        shared = settings_of(self.yard.home).prefect_api_url is not None
        ledger = self.yard.ledger.identity() if shared else None
        rows = list(old_rows(prefect, before=self.limits.used_before, ledger=ledger))
        self._take((Garbage("flow runs", one.id, None, one.ended, note=one.name) for one in rows), remove)

    def _is_ours(self, place: Blobs, what: str, address: str) -> bool:
        """Say whether this ledger, and no other, has records about a place."""
        signed, own = set(place.signed()), self.yard.ledger.identity()
        if others := sorted(signed - {own}):
            ends = f"remove ledgers/{others[0]} there if that one is gone for good"
            self._note(f"{what}: another ledger has records about {address}, and may need it; {ends}")
        elif not signed:
            self._note(f"{what}: no run has noted yet that this ledger has records about {address}; the next one does")
        return signed == {own}


def _is_list(piece: str) -> bool:
    return piece.endswith(".dir")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def _stored(one: Garbage) -> Stored:
    """Return what the place listed."""
    kinds: dict[str, Literal["object", "copy", "upload"]] = {"copies": "copy", "uploads": "upload"}
    return Stored(kinds.get(one.kind, "object"), one.name, one.size_bytes or 0, one.at)


def _chunks(found: Iterable[Garbage]) -> Iterator[list[Garbage]]:
    rest = iter(found)
    while some := list(islice(rest, CHUNK)):
        yield some
