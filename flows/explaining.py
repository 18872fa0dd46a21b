"""`why`: which parts of a stage's key differed from the time before."""

import json
from dataclasses import dataclass

from components.errors import nearest, refuse
from components.home import Home
from components.planning.history import began, labels, latest_run, model_of, models
from components.planning.key import ORDER
from components.planning.ledger import Ledger, Record
from flows.retrain import STAGES
from flows.state import ledger_of

LONGEST = 80  # letters of a value that is shown
FIRST = "no other result of it is recorded: it ran for the first time, or again since that one was damaged or gone"
NAMED = 4  # of a stage's outputs
MANY = 1000  # uses of one stage that are looked through
MADE_BY = {  # the stage whose outputs an input is, by the input's name
    "dataset": "ingest",
    "previous": "split, of an earlier run",
    "splits": "split",
    "trained": "train or prune",
    "models": "train and prune",
    "graph": "convert or quantize",
    "exported": "export",
    "profiled": "profile",
    "selected": "select",
    "tested": "evaluate_test",
    "judged": "gate",
    "champion": "an earlier run",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One part of a key, before and now; None: it wasn't there.

    What another stage made is one part, whose name says which of its outputs differ; before and now are then empty.
    """

    part: str
    before: str | None
    now: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a stage ran, or didn't."""

    stage: str
    run: str  # the run that is explained
    text: str  # in a sentence
    differences: tuple[Difference, ...]
    before: str = ""  # the run that it is compared with, or whose result it took


def explain(home: Home, named: str, label: str) -> Explanation:
    """Say why a stage ran in a run, or in a model's latest run.

    Raises:
        Refusal: there is no such run, model or stage.
    """
    ledger = ledger_of(home)
    model, run = _run(ledger, named)
    return _explained(ledger, model, run, _label(ledger, model, label))


def explain_all(home: Home, named: str) -> list[Explanation]:
    """Say of every stage that the model's runs went through, in a run's order, why it ran in this one, or didn't.

    Raises:
        Refusal: there is no such run or model.
    """
    ledger = ledger_of(home)
    model, run = _run(ledger, named)
    return [_explained(ledger, model, run, label) for label in _in_order(labels(ledger, model))]


def _in_order(known: list[str]) -> list[str]:
    """Return the stages in a run's order, of each stage its candidates by name: several are done at a time."""
    names = [stage.name for stage in STAGES]
    place = {name: number for number, name in enumerate(names)}
    return sorted(known, key=lambda label: (place.get(label.split(" ")[0], len(place)), label))


def _explained(ledger: Ledger, model: str, run: str, found: str) -> Explanation:
    made = ledger.history(model, found, limit=MANY)  # the latest use first
    own = [record for record in made if record.run == run]
    if not own:
        return _unchanged(ledger, made, found, run)
    now = max(own, key=lambda record: record.at)
    before = next((one for one in made[made.index(now) + 1 :] if one.at < now.at), None)
    if before is None:
        return Explanation(stage=found, run=run, text=FIRST, differences=())
    text, differences = "it ran since its key differed", _differences(before, now)
    return Explanation(stage=found, run=run, text=text, differences=differences, before=before.run)


def _run(ledger: Ledger, named: str) -> tuple[str, str]:
    """Return the model and the run that are meant."""
    known = models(ledger)
    if named in known:
        return named, latest_run(ledger, named) or ""
    model = model_of(ledger, named)
    if model is None:
        what = f"there is no run and no model '{named}'"
        do = nearest(named, known) or "take a run's id from MLflow or from `steelyard list --json`"
        raise refuse(what, allowed=", ".join(known) or "none: nothing ran yet", do=do)
    return model, named


def _label(ledger: Ledger, model: str, label: str) -> str:
    known = _in_order(labels(ledger, model))
    if label in known:
        return label
    of_stage = [one for one in known if one.split(" ")[0] == label]
    if len(of_stage) == 1:
        return of_stage[0]
    never = "register and promote are never cached: they compare the wanted with the actual state"
    named = "name one of these"
    do = never if label in ("register", "promote") else named if of_stage else nearest(label, known) or named
    what = f"'{label}' ran for several candidates" if of_stage else f"{model} has no stage '{label}'"
    raise refuse(what, allowed=", ".join(f"'{one}'" for one in of_stage or known), do=do)


def _unchanged(ledger: Ledger, made: list[Record], label: str, run: str) -> Explanation:
    """Say whose result a run took that didn't run the stage itself."""
    start = began(ledger, run)
    earlier = next((record for record in made if record.at <= start), made[0] if made else None)
    if earlier is None:
        return Explanation(stage=label, run=run, text="nothing is recorded of it any more", differences=())
    text = "nothing changed: it was cached"
    return Explanation(stage=label, run=run, text=text, differences=(), before=earlier.run)


def _differences(before: Record, now: Record) -> tuple[Difference, ...]:
    """Return what differs: the stage's own parts first, then what other stages made."""
    own, made = list[Difference](), dict[str, dict[str, None]]()
    for name in dict.fromkeys([*now.parts, *before.parts]):
        then, here = before.parts.get(name), now.parts.get(name)
        if then == here:
            continue
        first, _, output = _readable(name).removeprefix("evidence.").partition(".")
        if name.startswith("input ") and first in MADE_BY:
            outputs = [output.partition(".")[0]] if output else _differing(then, here)
            made.setdefault(first, {}).update(dict.fromkeys(outputs))
        else:
            own.append(Difference(part=_readable(name), before=_value(then), now=_value(here)))
    said = (_said_of(name, list(outputs)) for name, outputs in made.items())
    return (*own, *(Difference(part=part, before="", now="") for part in said))


def _differing(before: str | None, now: str | None) -> list[str]:
    """Return the names of the outputs that differ in a list of what a stage made for each candidate."""
    then, here = (json.loads(text or "[]") for text in (before, now))
    if not (isinstance(then, list) and isinstance(here, list)):
        return []
    if len(then) != len(here):
        return [f"{len(here)} instead of {len(then)}"]
    pairs = [(old, new) for old, new in zip(then, here, strict=True) if isinstance(old, dict) and isinstance(new, dict)]
    return [name for old, new in pairs for name in new if new[name] != old.get(name) and name != ORDER]


def _said_of(name: str, outputs: list[str]) -> str:
    """Say in a few words what differs of what a stage made."""
    said = ", ".join(outputs[:NAMED]) + (f" and {len(outputs) - NAMED} more" if len(outputs) > NAMED else "")
    return f"{name}, from {MADE_BY[name]}" + (f": {said}" if said else "")


def _readable(name: str) -> str:
    """Return a part's name as a person would say it: `input config.optimizer.lr` is `config.optimizer.lr`."""
    return name.removeprefix("input ")


def _value(text: str | None) -> str | None:
    """Return a value shortened; digests to the letters by which people tell them apart."""
    if text is None:
        return None
    try:
        plain = json.loads(text)
    except ValueError:
        plain = text
    shown = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    if len(shown) == 64 and set(shown) <= set("0123456789abcdef"):
        return shown[:12]
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."
