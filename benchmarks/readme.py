"""The README's table of results, made of what the other benchmarks wrote. A test holds the two together."""

import json
from typing import Any

from benchmarks.frame import RESULTS

SHOWN = (
    *("quality", "tables", "training", "distributed", "overhead", "workers", "crowd", "tracking"),
    *("store", "store_s3", "memory", "gate", "gate_bunches", "torture", "torture_workers"),
)
HEAD = "| what | Steelyard | beside it |"
Row = dict[str, Any]


def lines() -> list[str]:
    """Return the table's lines, and the line that says where it was measured."""
    run = [*_run(), *_workers(), _tracking(), _store(), *_store_s3(), _memory()]
    rows = [
        *_quality(),
        _tables(),
        *_training(),
        *_distributed(),
        *run,
        _gate(),
        _bunches(),
        _torture(),
        _torture_workers(),
    ]
    return [HEAD, "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows), "", _machine()]


def _rows(name: str, **wanted: str) -> list[Row]:
    rows: list[Row] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["rows"]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _row(name: str, **wanted: str) -> Row:
    (row,) = _rows(name, **wanted)
    return row


def _quality() -> list[tuple[str, str, str]]:
    names = {"digits": "digits", "mnist5k": "MNIST of 5,000", "breast_cancer": "breast cancer", "diabetes": "diabetes"}
    return [_quality_of(recipe, words) for recipe, words in names.items()]


def _quality_of(recipe: str, words: str) -> tuple[str, str, str]:
    whole, released = (_row("quality", recipe=recipe, model=model) for model in ("uncompressed", "selected"))
    ours = ("uncompressed", "selected", "constant")
    simple = [row for row in _rows("quality", recipe=recipe) if row["model"] not in ours]
    return (
        f"{words}: test {whole['metric']}, mean of {whole['n']} seeds",
        f"{whole['mean']:.4f} ({whole['min']:.3f} to {whole['max']:.3f}); released {released['mean']:.4f}",
        ", ".join(f"{row['model'].replace('_', ' ')} {row['mean']:.4f}" for row in simple),
    )


def _training() -> list[tuple[str, str, str]]:
    return [_training_of(row) for row in _rows("training", loop="by hand")]


def _training_of(hand: Row) -> tuple[str, str, str]:
    ours = _row("training", case=hand["case"], precision=hand["precision"], loop="steelyard")
    spread = f"({hand['steelyard is x min']:.2f} to {hand['steelyard is x max']:.2f})"
    return (
        f"training, {hand['case']}, {hand['precision']}: samples/s",
        f"{ours['samples/s median']:,.0f}",
        f"by hand {hand['samples/s median']:,.0f}: {hand['steelyard is x median']:.2f}x {spread}",
    )


def _distributed() -> list[tuple[str, str, str]]:
    return [_distributed_of(row) for row in _rows("distributed", way="2 processes, 1 thread")]


def _distributed_of(two: Row) -> tuple[str, str, str]:
    threads, apart = (
        _row("distributed", case=two["case"], way=way) for way in ("1 process, 2 threads", "2 processes apart")
    )
    return (
        f"two processes on two cores, {two['case']}: times the samples/s of one process",
        f"{two['x median']:.2f}x ({two['x min']:.2f} to {two['x max']:.2f})",
        f"two threads {threads['x median']:.2f}x; two that don't talk {apart['x median']:.2f}x",
    )


def _run() -> list[tuple[str, str, str]]:
    names = {
        "servers up, changed seed": "a run, servers up",
        "later run, changed seed": "a run, nothing up",
        "first run ever": "the first run ever",
    }
    rows = {name: _row("overhead", run=name) for name in names}
    plain = "a plain script of the same components, 2 s of it for Python to end"
    less = {name: f"{plain}: {rows[name]['seconds above plain']:.1f} s less" for name in names}
    found = [(words, _seconds(rows[name]), less[name]) for name, words in names.items()]
    quick = {"nothing to do": "a run with nothing to do", "help": "`steelyard --help`"}
    return [*found, *((words, _seconds(_row("overhead", run=name)), "") for name, words in quick.items())]


def _seconds(row: Row) -> str:
    return f"{row['seconds median']:.2f} s ({row['seconds min']:.2f} to {row['seconds max']:.2f}, n {row['seconds n']})"


def _workers() -> list[tuple[str, str, str]]:
    adds, alone = _row("workers", what="a stage on a worker adds"), _row("workers", what="import torch")
    empty, (crowd,) = _row("workers", what="an empty flow on a pool as Prefect makes it"), _rows("crowd")
    beside = f"importing torch {alone['seconds median']:.1f} s; an empty flow on a pool of Prefect's {_seconds(empty)}"
    return [
        ("a stage on a worker instead of in the run's process adds", _seconds(adds), beside),
        (crowd["what"], crowd["note"], f"{crowd['seconds median'] / 60:.0f} minutes"),
    ]


def _tracking() -> tuple[str, str, str]:
    key = "5,000 points"
    ours, single = (_row("tracking", **{key: way}) for way in ("training waits", "single calls (from 200)"))
    return (
        "5,000 metric points: what training waits",
        f"{1000 * ours['seconds median']:.0f} ms",
        f"single calls {single['seconds median']:.0f} s",
    )


def _store() -> tuple[str, str, str]:
    put, get, copy = (_row("store", what=what) for what in ("put", "get, verified", "copy and hash"))
    ratios = f"{put['ratio to copy and hash']:.2f}x and {get['ratio to copy and hash']:.2f}x"
    return (
        "1 GB into the store; out of it, hashed",
        f"{put['seconds median']:.2f} s; {get['seconds median']:.2f} s",
        f"copying and hashing it {copy['seconds median']:.2f} s: {ratios}",
    )


def _store_s3() -> list[tuple[str, str, str]]:
    large, small = "1000000000 bytes", "10000 files of 1000 bytes"
    names = {
        f"{large} up": "1 GB to S3",
        f"{large} down": "1 GB from S3",
        f"{small} up": "10,000 small files to S3",
        f"{small} down": "10,000 small files from S3",
    }
    return [_store_s3_of(_row("store_s3", what=what), words) for what, words in names.items()]


def _store_s3_of(row: Row, words: str) -> tuple[str, str, str]:
    rclone, share = row["rclone seconds"], row["share of rclone's speed"]
    return words, _seconds(row), f"`rclone copy` {rclone:.2f} s: {share:.2f}x its speed"


def _memory() -> tuple[str, str, str]:
    rows = _rows("memory")
    what = f"peak memory, CSV of {rows[0]['csv_bytes'] / 1e9:.1f} GB ({rows[0]['rows'] / 1e6:.1f} million rows)"
    return what, ", ".join(f"{row['work']} {row['peak_mb']:.0f} MB" for row in rows), ""


def _by_metric(name: str) -> tuple[list[Row], list[Row]]:
    """Return the rows of accuracy, and those of all other figures."""
    rows = _rows(name)
    return [one for one in rows if one["metric"] == "accuracy"], [one for one in rows if one["metric"] != "accuracy"]


def _at_margin(accuracy: list[Row], others: list[Row]) -> str:
    worst = max(others, key=lambda row: row["yes_at_margin"])
    return (
        f"accuracy at most {max(row['yes_at_margin'] for row in accuracy):.1%}; other figures at most "
        f"{worst['yes_at_margin']:.1%} ± {worst['yes_at_margin_error']:.1%}"
    )


def _gate() -> tuple[str, str, str]:
    return (
        "the gate says yes though the loss is as large as the margin",
        _at_margin(*_by_metric("gate")),
        "5 % is promised, of losses spread over the rows; a blunder rarer than one row in all those tested "
        "can't be seen",
    )


def _bunches() -> tuple[str, str, str]:
    accuracy, others = _by_metric("gate_bunches")
    return (
        "the same, where test rows are copies or of one group",
        _at_margin(accuracy, others),
        f"were each row taken for independent: {max(row['yes_as_rows'] for row in accuracy):.0%}; "
        f"{max(row['yes_as_rows'] for row in others):.0%}",
    )


def _torture() -> tuple[str, str, str]:
    rows = _rows("torture")
    kills = [row for row in rows if row["ended"] in ("killed", "stopped")]
    same = sum(row["same files"] for row in kills)
    how = f"{sum(row['how'] == 'SIGKILL' for row in kills)} by SIGKILL, the others by Ctrl-C at each stage"
    return "ended in the middle, started again: the same files", f"{same} of {len(kills)} runs", how


def _torture_workers() -> tuple[str, str, str]:
    kills = [row for row in _rows("torture_workers") if not row["killed"].startswith("nothing")]
    same = sum(row["same files"] for row in kills)
    victims = ", ".join(dict.fromkeys(row["killed"] for row in kills))
    return (
        "on servers and workers, one of them killed: the same files as a run at home",
        f"{same} of {len(kills)} runs",
        victims,
    )


def _tables() -> tuple[str, str, str]:
    rows = _rows("tables")
    whole = next(row for row in rows if str(row["table"]).startswith("all"))
    count, seeds = len([row for row in rows if row["for"]]), rows[0]["n"]
    return (
        f"{count} tables with the recipe that `init` writes, means of {seeds} seeds",
        f"as good as a linear model or better on {whole['over_linear']}, as boosting on {whole['over_boosting']}",
        f"mean rank {whole['rank']:.2f} of constant, linear, boosting and the network",
    )


def _machine() -> str:
    told = {name: json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in SHOWN}
    days = sorted(one["date"] for one in told.values())
    versions = ", ".join(f"{name} {number}" for name, number in told["overhead"]["versions"].items())
    machines = " and ".join(dict.fromkeys(one["machine"]["processor"] for one in told.values()))
    cores = " or ".join(dict.fromkeys(str(one["machine"]["cores"]) for one in told.values()))
    return (
        f"Measured by `make bench` and `make torture` from {days[0]} to {days[-1]}: {machines}, {cores} cores, no GPU; "
        f"Python {told['overhead']['python']}, {versions}. "
        "Each row is of one machine: its JSON in `benchmarks/results` says which."
    )


def main() -> None:
    """Print the table."""
    print("\n".join(lines()))


if __name__ == "__main__":
    main()
