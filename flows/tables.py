"""What a person is shown: rich tables on a terminal, plain aligned text elsewhere. All of it on standard output."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from components.figure import figure
from components.home import WHICH, Home
from components.planning.key import Json
from components.reap.garbage import MEANING, Garbage
from components.release.provenance import LinkCheck
from flows.calling import called
from flows.datasets import DIGEST_LETTERS
from flows.datasets import Listed as DataSet
from flows.doctor.finding import Finding
from flows.explaining import Explanation
from flows.releasing import Decision, Listed, Shown
from tasks.runner import Planned

if TYPE_CHECKING:
    from flows.reap.reap import Reaped

Row = Sequence[str]
GAP = "  "
REASON_LETTERS = 60  # of a reason, in a list on a terminal
SHOWN_STAGES = 3  # by name, in a sentence
RUN_LETTERS = 8  # of a run's id, beside a whole one
UNSURE = {"unverifiable": "can't be verified here", "stated": "are only stated"}
COLOURS = {
    **dict.fromkeys(("front", "verified", "ok", "champion", "cached"), "green"),
    **dict.fromkeys(("broken", "bad", "refused for quality", "rejected", "rolled back", "failed", "deleted"), "red"),
    **dict.fromkeys(("not faster", "dominated", "note", "unverifiable", "run", "held"), "yellow"),
}


class Candidate(TypedDict):
    """A row of `candidates` in a run's result."""

    name: str
    verdict: str
    validation: float
    size_bytes: int
    latency_ms: dict[str, float]
    speedup: dict[str, float]
    speedup_range: dict[str, tuple[float, float]]  # its confidence interval


class Selected(TypedDict):
    """`selected` in a run's result."""

    name: str
    reason: str
    size_bytes: int
    latency_ms: dict[str, float]


class Decided(TypedDict):
    """`decision` in a run's result."""

    promoted: bool
    gate: str  # "yes", "no" or "not enough evidence"
    barred: bool  # it is promoted only by force
    reason: str


class Stage(TypedDict):
    """A row of `stages` in a run's result."""

    name: str
    cached: bool


class Result(TypedDict):
    """What of a run's result is shown."""

    model: str
    version: int
    decision: Decided
    test: dict[str, dict[str, float]]
    beware: NotRequired[list[str]]
    metric: str
    selected: Selected
    candidates: list[Candidate]
    stages: list[Stage]
    report: str


def write(*lines: str) -> None:
    """Write lines to standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def print_table(headers: Row, rows: Sequence[Row], *, right: Sequence[int] = ()) -> None:
    """Show rows under headers; `right` are the columns of figures."""
    if sys.stdout.isatty():
        _print_rich(headers, rows, right)
    else:
        write(*plain(headers, rows, right=right))


def plain(headers: Row, rows: Sequence[Row], *, right: Sequence[int] = ()) -> list[str]:
    """Return the table as aligned lines."""
    widths = [max(len(row[place]) for row in (headers, *rows)) for place in range(len(headers))]
    return [
        GAP.join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (headers, *rows)
    ]


def print_summary(result: dict[str, Json]) -> None:
    """Show what a run came to: the candidates, the decision, the report."""
    told = cast(Result, result)
    selected, decision = told["selected"], told["decision"]
    sizes = list(selected["latency_ms"])
    headers = ["candidate", "verdict", f"validation {told['metric']}", "size", *(f"ms, batch {size}" for size in sizes)]
    headers += [f"speed-up, batch {size}" for size in sizes]
    rows = [
        [
            f"{one['name']} *" if one["name"] == selected["name"] else one["name"],
            one["verdict"],
            figure(one["validation"]),
            bytes_of(one["size_bytes"]),
            *(or_dash(one["latency_ms"].get(size)) for size in sizes),
            *(times(one, size) for size in sizes),
        ]
        for one in told["candidates"]
    ]
    print_table(headers, rows, right=range(2, len(headers)))
    if all(stage["cached"] for stage in told["stages"]):
        write("", "nothing changed: every stage was cached, nothing was run")
    metrics = GAP.join(f"{name} {figure(value)}" for name, value in told["test"]["selected"].items())
    write(
        "",
        f"* selected   {selected['name']}, {bytes_of(selected['size_bytes'])}: {selected['reason']}",
        f"  on test    {metrics}",
        *(f"  beware     {sentence}" for sentence in told.get("beware", [])),
        f"  decision   {'promoted' if decision['promoted'] else 'not promoted'}: {decision['reason']}",
        f"  version    {told['model']} {told['version']}{', the champion' if decision['promoted'] else ''}",
        f"  report     {told['report']}",
        f"  next       {_next(told['model'], told['version'], decision)}",
    )


def _next(model: str, version: int, decision: Decided) -> str:
    """Say what can be done now: what is barred is promoted only by force."""
    if decision["promoted"]:
        return f"{called()} predict {model} FILE"
    of = f"{model} --version {version}"
    why = "to overrule the gate" if decision["gate"] == "no" else "to promote it all the same"
    return f"{called()} show {of}; {why}: {called()} promote {of}{' --force' * decision['barred']}"


def print_plan(lines: Sequence[Planned], *, server: bool) -> None:
    """Show a plan, and how long it will take if it goes as it did before. `server`: one has to be started for it."""
    rows = [[line.label, line.state, "" if line.seconds is None else seconds_of(line.seconds)] for line in lines]
    print_table(["stage", "state", "took before"], rows, right=[2])
    open_ones = [line for line in lines if line.state != "cached"]
    if not open_ones:
        write("", "nothing to do: every stage is cached")
        return
    write("", f"{len(open_ones)} of {len(lines)} stages may run")
    if any(line.state == "wait" for line in lines):
        write(
            "wait: it needs what a stage above has yet to find; it runs if that is something new, "
            "and is taken from the cache if not"
        )
    beside = ", beside the start of a Prefect server (`steelyard up` keeps one)" if server else ""
    write(*(f"{line.label} was begun before, and goes on from its checkpoint" for line in open_ones if line.begun))
    write(_expected(open_ones) + beside)


def _expected(lines: Sequence[Planned]) -> str:
    """Say how long these stages will take."""
    known = [line.seconds for line in lines if line.seconds is not None]
    new = [line.label for line in lines if line.seconds is None]
    if not known:
        return "expected time: unknown, none of them ran here to its end before; the next plan will know"
    beside = ", ".join(new) if len(new) <= SHOWN_STAGES else f"{len(new)} stages that never ran"
    return f"expected time: {seconds_of(sum(known))}, as they took before" + (f", without {beside}" if new else "")


def print_explanation(found: Explanation) -> None:
    """Show why a stage ran."""
    before = f" (before: run {found.before})" if found.before else ""
    write(f"{found.stage}, run {found.run}: {found.text}{before}")
    if found.differences:
        rows = [[one.part, _or(one.before, "(wasn't there)"), _or(one.now, "(is gone)")] for one in found.differences]
        write("")
        print_table(["part of the key", "before", "now"], rows)


def print_explanations(found: Sequence[Explanation]) -> None:
    """Show why each stage of a run ran, or didn't: with the first of the parts that differed, and how many they are.

    Where all stages are compared with the same run, it is named once.
    """
    runs = {one.before for one in found if one.before}
    alone = f" (before: run {next(iter(runs))})" if len(runs) == 1 else ""
    if found:
        write(f"run {found[0].run}{alone}", "")
    shown = {run: "" if alone else f" (before: run {run[:RUN_LETTERS]})" for run in runs} | {"": ""}
    rows = [[one.stage, one.text + shown[one.before], _first_difference(one)] for one in found]
    print_table(["stage", "why", "what differed"], rows)


def _or(value: str | None, otherwise: str) -> str:
    return otherwise if value is None else value


def _first_difference(one: Explanation) -> str:
    if not one.differences:
        return ""
    first, more = one.differences[0], len(one.differences) - 1
    values = f": {_or(first.before, '(was not there)')} -> {_or(first.now, '(is gone)')}"
    others = f"; and {more} other{'s' * (more > 1)}" if more else ""
    return first.part + ("" if first.before == first.now else values) + others


def print_releases(versions: Sequence[Listed], *, home: Home) -> None:
    """Show the registered versions; where there are none, which home was looked into."""
    if not versions:
        write(f"no model was released yet in {home.root}: `steelyard run RECIPE` ({WHICH})")
        return
    rows = [
        [
            one.model,
            str(one.version),
            one.candidate,
            f"{one.metric} {figure(one.value)}",
            bytes_of(one.size_bytes),
            one.state,
            minute(one.decided or one.at),
            shorten(one.reason, width=REASON_LETTERS, placeholder=" ...") if sys.stdout.isatty() else one.reason,
        ]
        for one in versions
    ]
    print_table(["model", "version", "candidate", "on test", "size", "state", "since", "why"], rows, right=[1, 4])


def print_release(told: Shown) -> None:
    """Show one version."""
    one = told.version
    classes = f", classes {', '.join(told.classes)}" if told.classes else ""
    write(
        f"{one.model} version {one.version}: {one.state}" + (f", {one.reason}" if one.reason else ""),
        "",
        f"  candidate  {one.candidate} for {told.runtime}, {bytes_of(one.size_bytes)}",
        f"  task       {one.task} of {told.target}{classes}",
        f"  on test    {GAP.join(f'{name} {figure(value)}' for name, value in told.test.items())}",
        f"  latency    {GAP.join(f'{figure(ms)} ms at batch {size}' for size, ms in one.latency_ms.items())}",
        f"  registered {minute(one.at)} by run {one.run_id}",
        f"  sha256     {told.onnx_sha256}",
        "",
    )
    rows = [[minute(one.at), _moved(one), one.state, one.actor, one.reason] for one in told.decisions]
    print_table(["decided", "what", "state", "by", "reason"], rows)


def print_checks(checks: Sequence[LinkCheck]) -> None:
    """Show what came of verifying a chain."""
    print_table(["link", "state", "why"], [[one.name, one.status, one.text] for one in checks])
    write("", upshot(checks))


def upshot(checks: Sequence[LinkCheck]) -> str:
    """Say whether the chain holds, and of which links nothing was hashed: where one can't be, nobody can say that."""
    names: dict[str, list[str]] = {}
    for one in checks:
        names.setdefault(one.status, []).append(one.name)
    if "broken" in names:
        return f"broken: {', '.join(names['broken'])}"
    unsure = [
        f"{len(names[status])} of {len(checks)} links {words} ({', '.join(names[status])})"
        for status, words in UNSURE.items()
        if status in names
    ]
    whole = "no link is broken, but not all could be looked at" if "unverifiable" in names else "the chain holds"
    return "; ".join([whole, *unsure])


def print_examination(found: Sequence[Finding]) -> None:
    """Show what the doctor found: here, and then what workers of each pool found otherwise, or tried."""
    here = [one for one in found if not one.pool]
    print_table(["what", "state", "found"], [[one.name, one.state, one.detail] for one in here])
    facts = {one.name: one.fact for one in here}
    for pool in dict.fromkeys(one.pool for one in found if one.pool):
        theirs = [one for one in found if one.pool == pool]
        same = [one.name for one in theirs if one.state == "ok" and one.fact and one.fact == facts.get(one.name)]
        shown = [[one.name, one.state, one.detail] for one in theirs if one.name not in same]
        write("")
        print_table([f"pool {pool}", "state", "found"], shown)
        if same:
            write(f"as here: {', '.join(same)}")
    bad = sum(one.state == "bad" for one in found)
    write("", f"{bad} to mend" if bad else "all is well")


def print_datasets(found: Sequence[DataSet], *, home: Home) -> None:
    """Show the data sets; where there are none, which home was looked into."""
    if not found:
        write(f"no data set was taken in yet in {home.root}: `steelyard run RECIPE` ({WHICH})")
        return
    rows = [
        [
            one.sha256[:DIGEST_LETTERS],
            one.dvc_md5[:DIGEST_LETTERS],
            f"{one.rows:,}",
            bytes_of(one.size_bytes),
            one.source,
            ", ".join(one.models),
            minute(one.at),
        ]
        for one in found
    ]
    print_table(["sha256", "dvc md5", "rows", "packed", "source", "models", "taken in"], rows, right=[2, 3])


def print_reaped(found: "Reaped") -> None:
    """Show what may go, or went."""
    rows = [
        [
            kind,
            MEANING[kind],
            f"{len(some):,}",
            "-" if any(one.size_bytes is None for one in some) else bytes_of(sum(one.size_bytes or 0 for one in some)),
            minute(datetime.fromtimestamp(some[0].at).isoformat()),
            _examples(some),
        ]
        for kind, some in found.by_kind().items()
    ]
    if rows:
        print_table(["kind", "what", "how many", "bytes", "oldest", "such as, the oldest first"], rows, right=[2, 3])
        write("")
    for note in found.notes:
        write(f"left out   {note}")
    if not rows:
        write("nothing to remove: all that is here is in use, or younger than a day")
    elif found.removed:
        write(f"freed {bytes_of(found.size_bytes)}")
    else:
        write(f"{bytes_of(found.size_bytes)} to free; nothing was removed: `steelyard reap --yes` does that")


def _examples(some: Sequence[Garbage]) -> str:
    """Return the first few names that a person can look up, or what there is to say of them."""
    names = list(dict.fromkeys(one.note or Path(one.name).name[:DIGEST_LETTERS] for one in some))
    shown = names[:SHOWN_STAGES] + ["..."] * (len(names) > SHOWN_STAGES)
    return shorten(", ".join(shown), width=REASON_LETTERS, placeholder=" ...")


def or_dash(value: float | None) -> str:
    """Return a figure with four digits that count, or a dash."""
    return "-" if value is None else figure(value)


def times(one: Candidate, size: str) -> str:
    """Return a speed-up and its confidence interval, such as 1.30x (1.21-1.39)."""
    if size not in one["speedup"]:
        return "-"
    low, high = one["speedup_range"][size]
    return f"{one['speedup'][size]:.2f}x" + (f" ({low:.2f}-{high:.2f})" if low < high else "")


def bytes_of(size: int) -> str:
    """Return a size as a person says it, in units of 1000."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def seconds_of(seconds: float) -> str:
    """Return a duration in seconds, or in minutes from two of them on."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def minute(at: str) -> str:
    """Return a time in ISO 8601 to the minute."""
    return at[:16].replace("T", " ")


def _moved(one: Decision) -> str:
    return f"{one.action} {one.version}" + (f" instead of {one.replaced}" if one.replaced is not None else "")


def _print_rich(headers: Row, rows: Sequence[Row], right: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console().print(table)
