"""One run of a recipe: plan it, and where something is left to do, do it in a Prefect flow and record it in MLflow."""

import hashlib
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import cast

from components.disk import check_rights, check_space, full_disk_refused
from components.errors import nearest, refuse
from components.gpus import asked_for
from components.home import Home
from components.models.config import Custom
from components.planning.closure import module_of
from components.planning.held import RUN, living
from components.planning.key import Json
from components.planning.machine import gpus
from components.planning.source import Source, look_at
from components.planning.unknown import UNKNOWN
from components.recipe import Recipe
from components.recipe_file import read
from components.release.releases import Releases
from components.settings import settings_of
from components.training.ahead import look_ahead
from components.workers import Workers
from flows.console import Show, waiting
from flows.in_prefect import in_prefect
from flows.retrain import STAGES, Outcome, retrain, settled
from flows.servers.backend import backend, starts_a_server
from flows.servers.environment import enter
from flows.state import artifacts_of, ledger_of, remote_of, sign, store_of
from flows.summary import flat, laid_out, summary
from tasks.perform import Done
from tasks.runner import Planned, Planner, PrefectRun
from tasks.stage import Yard
from tasks.until import Reached

ORDER = tuple(stage.name for stage in STAGES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """How a run was asked for."""

    until: str | None = None
    force: frozenset[str] = frozenset()
    verify: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        for name in (*self.force, *([self.until] if self.until else [])):
            if name not in ORDER:
                raise refuse(f"there is no stage '{name}'", allowed=", ".join(ORDER), do=nearest(name, ORDER))
        if self.strict and self.until not in (None, ORDER[-1]):
            what = f"--strict asks for a release, and --until {self.until} ends before there is one"
            raise refuse(what, do="leave one of them out")


def recipe_at(path: Path, changes: Sequence[str]) -> Recipe:
    """Read a recipe. The package of the user's own network may lie beside it; what is installed goes first."""
    recipe = read(path, changes=changes)
    folder = str(path.resolve().parent)
    if isinstance(recipe.network, Custom) and folder not in sys.path:
        sys.path.append(folder)
    return recipe


def yard_of(home: Home, model: str, wish: Wish | None = None) -> Yard:
    """Return where runs of the model work."""
    wish, settings = wish or Wish(), settings_of(home)
    return Yard(
        home=home,
        store=store_of(home),
        ledger=ledger_of(home),
        remote=remote_of(home),
        model=model,
        force=wish.force,
        verify=wish.verify,
        travels=settings.store is not None,
        registry_uri=settings.mlflow_tracking_uri,
    )


def find_source(recipe: Recipe, yard: Yard, *, bring: bool) -> Source | None:
    """Return the recipe's data. With `bring`, have it from its URL or from DVC where it isn't here."""
    named = recipe.data.source
    if "://" in named:
        return _fetched(named, yard) if bring else None
    path = Path(named)
    if not path.exists():
        from tasks.versioning import bring as bring_tracked
        from tasks.versioning import tracks

        if not (bring_tracked(path) if bring else tracks(path)):
            raise refuse(
                f"there is no file or folder '{path}'",
                where="data.source",
                allowed="a CSV, Parquet or npz file, a folder of images by class, a packed data set, a URL",
                do=_to_find(path, yard),
            )
    return look_at(path, yard.ledger)


def _to_find(path: Path, yard: Yard) -> str:
    """Say how data that isn't there may be found: by its right path, or as it was when it was taken in."""
    from components.data.sources.table import nearest_source
    from flows.datasets import DIGEST_LETTERS, taken_from

    do = f"{nearest_source(path) or 'mend the path.'} A relative one is relative to the recipe"
    taken = taken_from(yard.home, yard.model, path)
    if taken is None:
        return do
    digest = taken.sha256[:DIGEST_LETTERS]
    back = f"`steelyard data restore {digest}` brings back {taken.rows:,} rows of a file of that name"
    return f"{do}. If it is lost, {back}: put the path of that folder into data.source"


def plan(recipe: Recipe, home: Home, wish: Wish) -> list[Planned]:
    """Return what a run would do, stage by stage."""
    yard = yard_of(home, recipe.model, wish)
    Releases(yard.ledger, recipe.model).check_registry(yard.registry)
    source = find_source(recipe, yard, bring=False)
    planner, _ = _planned(recipe, source, yard, wish)
    if not planner.nothing_to_do:
        _check_gpus(recipe.workers, planner, home)
        _check_device(recipe, planner, yard)
    if source is not None:
        _look_ahead(recipe, source, planner)
    return planner.plan


def run(recipe: Recipe, home: Home, wish: Wish) -> dict[str, Json]:
    """Run the recipe and return its summary.

    Raises:
        Refusal: input that a person can mend.
        Reached: the stage named by `wish.until` is done.
    """
    check_rights(home.root)
    yard = yard_of(home, recipe.model, wish)
    Releases(yard.ledger, recipe.model).check_registry(yard.registry)
    source = find_source(recipe, yard, bring=True)
    if source is None:
        raise refuse("the data vanished while it was looked at", where=recipe.data.source)
    planner, outcome = _planned(recipe, source, yard, wish)
    if planner.nothing_to_do and yard.ledger.note_uses(recipe.model, planner.uses):
        done = [Done(line.stage, line.label, line.key, None, True, 0.0) for line in planner.plan]
        if outcome is None:
            raise Reached(wish.until, done)
        return _unchanged(recipe, done, outcome, yard)
    _check_gpus(recipe.workers, planner, home)
    _check_device(recipe, planner, yard)
    _look_ahead(recipe, source, planner)
    check_space(home.root)
    with full_disk_refused(home.root):
        return _run(recipe, source, yard, wish, libraries=planner.libraries)


def _check_gpus(workers: Workers, planner: Planner, home: Home) -> None:
    """Refuse stages that want GPUs, where the run has nobody but this process to do them, and it has fewer."""
    ahead = {line.stage for line in planner.plan if line.state != "cached"} if starts_a_server(home) else set()
    for name, worker in workers.named.items():
        if name in ahead and (worker.gpus or 0) > len(gpus()):
            what = f"{asked_for(worker.gpus or 0)}, {len(gpus())} are here, and no servers with workers are up"
            do = f"name servers (docs/settings.md), `steelyard up`, or --set workers.{name}.gpus=null"
            raise refuse(what, where=f"workers.{name}", do=do)


def _check_device(recipe: Recipe, planner: Planner, yard: Yard) -> None:
    """Refuse what this process would train with, and can't, as training itself would. A worker speaks for itself.

    What waits for earlier stages may turn out to be done where the model was trained before: then training says it.
    """
    states, workers = {line.stage: line.state for line in planner.plan}, recipe.workers
    if states.get("train") == "wait" and yard.ledger.history(recipe.model, "train", limit=1):
        return
    ahead = {stage for stage, state in states.items() if state != "cached"}
    if not all(method.finetune_epochs for method in recipe.prune):  # one may be left to do that trains nothing
        ahead.discard("prune")
    for name, worker in (("train", workers.train), ("prune", workers.prune)):
        if name in ahead and (worker is None or starts_a_server(yard.home)):
            look_ahead(settled(recipe.train, worker))


def _look_ahead(recipe: Recipe, source: Source, planner: Planner) -> None:
    """Refuse what can be seen in two seconds and without importing a network, before any server starts."""
    if isinstance(recipe.network, Custom):
        module_of(recipe.network.path)
    if planner.plan[0].state != "cached":
        from components.data.packing.pack import look_ahead as look_at_rows

        look_at_rows(recipe.data, Path(source.path))


def _planned(recipe: Recipe, source: Source | None, yard: Yard, wish: Wish) -> tuple[Planner, Outcome | None]:
    planner = Planner(yard, until=wish.until, order=ORDER)
    if yard.registry_uri is not None or settings_of(yard.home).mlflow_artifacts is not None:
        enter(yard.home)  # the planner asks there what it has, and it may want a login
    try:
        return planner, retrain(recipe, source or cast(Source, UNKNOWN), planner)
    except Reached:
        return planner, None


def _unchanged(recipe: Recipe, done: Sequence[Done[None]], outcome: Outcome, yard: Yard) -> dict[str, Json]:
    """Return the summary of a run whose every stage is recorded: no flow was started."""
    flow_run = yard.ledger.flow_run(outcome.registered.run_id)
    return summary(
        recipe, outcome, done, run_id=outcome.registered.run_id, flow_run_id=flow_run, folder=laid_out(outcome, yard)
    )


def _run(recipe: Recipe, source: Source, yard: Yard, wish: Wish, *, libraries: frozenset[str]) -> dict[str, Json]:
    """Run what is left to do. The Prefect server starts while MLflow is made ready and libraries load."""
    started = time.monotonic()
    artifacts = artifacts_of(yard.home)  # before the environment is another: with `inherit` it would be read
    with backend(yard.home) as servers:
        with waiting("preparing Prefect and MLflow"):
            from tasks.tracking.connecting import connect
            from tasks.tracking.runs import tracked

            client = connect(yard.home, uri=servers.mlflow_uri)
            _load("prefect", *libraries)
            servers.wait()
        name = time.strftime("%Y-%m-%d %H:%M:%S")
        sign(yard)
        with (
            tracked(
                client,
                yard.home,
                model=recipe.model,
                run_name=name,
                artifacts=artifacts,
                ledger=yard.ledger.identity(),
            ) as tracking,
            living(RUN + tracking.run_id, yard.ledger, seconds=yard.lease_seconds),
        ):
            tracking.params(flat(recipe))
            show = Show(tracking, started)
            workers = recipe.workers if servers.shared else Workers()
            if alone := recipe.workers.named.keys() - workers.named.keys():
                what = "no servers with workers are up, so this process does their stages"
                show.say(f"{'':10}{what}: {', '.join(sorted(alone))}")
            working = replace(yard, run=tracking.run_id, tracker=show)
            runner = PrefectRun(working, until=wish.until, order=ORDER, workers=workers, watcher=show)
            try:
                outcome, flow_run_id = in_prefect(recipe, source, runner)
            except Reached:
                raise Reached(wish.until, runner.done) from None
            finally:
                show.close()
    show.total()
    yard.ledger.end_run(tracking.run_id, model=recipe.model, flow_run=flow_run_id)
    return summary(
        recipe, outcome, runner.done, run_id=tracking.run_id, flow_run_id=flow_run_id, folder=laid_out(outcome, yard)
    )


def _load(*libraries: str) -> None:
    """Import what the stages will need."""
    for library in libraries:
        with suppress(ImportError):  # a few go by another name as a module; the stage imports them itself
            import_module(library.replace("-", "_"))


def _fetched(url: str, yard: Yard) -> Source | None:
    from tasks.versioning import fetch

    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return look_at(fetch(url, workspace=yard.home.dvc_imports / name), yard.ledger)
