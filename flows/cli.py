"""The command line: parse, call, print.

Exit codes: 0 done; 1 a bug, with its traceback; 2 input that you can mend, with what to do; 3 the gate held or refused
the release (with `run --strict`) or `verify` found a broken link; 130 Ctrl-C, or cancelled in Prefect; 143 SIGTERM.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from components.errors import Refusal, refuse
from flows.interrupts import heard

app = typer.Typer(
    name="steelyard",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data = typer.Typer(help="Data sets that runs have taken in.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data, name="data")

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe, such as train.epochs=5."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Model = Annotated[str, typer.Argument(help="The registered model's name.")]
Version = Annotated[int | None, typer.Argument(metavar="VERSION", help="Else the champion.", show_default=False)]
NamedVersion = Annotated[int | None, typer.Option("--version", help="The same, by its name.", show_default=False)]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"steelyard {version('steelyard')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """From training data to a small, fast, proven model release. Start with `steelyard init` or `steelyard run`."""


def main() -> NoReturn:
    """Run the command line."""
    try:
        with heard():
            app(standalone_mode=True)
    except Refusal as refusal:
        sys.stderr.write(f"{_red('refused')}: {refusal}\n")
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:
        code = end.code if isinstance(end, SystemExit) else 130
        if code not in (130, 143):  # typer makes 130 of Ctrl-C; 143 is SIGTERM's
            raise
        kept = "; what was done is kept, and the next run goes on from there" if sys.argv[1:2] == ["run"] else ""
        _say(f"stopped{kept}")
        sys.exit(code)
    sys.exit(0)


@app.command()
def init(
    source: Annotated[str, typer.Argument(metavar="DATA", help="A CSV, Parquet or npz file, or a folder of images.")],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    output: Annotated[Path, typer.Option(help="Where to write the recipe.")] = Path("recipe.yaml"),
    model: Annotated[
        str | None, typer.Option(help="The model's name; else --output's, or for recipe.yaml the data's.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
) -> None:
    """Look at the data and write a commented recipe for it."""
    from flows.drafting import write_draft

    drafted = write_draft(source, target=target, output=output, model=model, overwrite=overwrite)
    _say("\n".join(drafted.told()))


@app.command()
def run(
    recipe: RecipeFile,
    changes: Changes = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")] = None,
    force: Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Run the stage though it is cached.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every cached output, not only those that look changed.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 unless the release is champion.")] = False,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the result's JSON to a file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe, from its data to its release."""
    from components.home import find_home
    from flows.running import Wish, recipe_at
    from flows.running import run as run_recipe
    from flows.summary import stage_rows, stopped, write
    from tasks.until import Reached

    wish = Wish(until=until, force=frozenset(force or ()), verify=verify, strict=strict)
    try:
        result = run_recipe(recipe_at(recipe, changes or ()), find_home(), wish)
    except Reached as reached:
        _say(stopped(until, reached.done))
        if as_json:
            _print_json({"stopped_after": until, "stages": stage_rows(reached.done)})
        return
    if summary is not None:
        write(result, summary)
    if as_json:
        _print_json(result)
    else:
        from flows.tables import print_summary

        print_summary(result)
    if strict and not result["decision"]["promoted"]:  # type: ignore[index,call-overload]
        sys.exit(3)


@app.command()
def plan(
    recipe: RecipeFile,
    changes: Changes = None,
    force: Annotated[list[str] | None, typer.Option(metavar="STAGE", help="As for run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do, what is cached, and how long it takes."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.running import Wish, recipe_at
    from flows.running import plan as planned

    lines = planned(recipe_at(recipe, changes or ()), find_home(), Wish(force=frozenset(force or ())))
    if as_json:
        _print_json([asdict(line) for line in lines])
    else:
        from flows.servers.backend import starts_a_server
        from flows.tables import print_plan

        print_plan(lines, server=starts_a_server(find_home()))


@app.command()
def why(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or a model's name for its latest run.")],
    stage: Annotated[
        str | None, typer.Argument(help="The stage, such as train, or with a candidate: 'export pruned-50'; else all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why each stage ran or not. Of one stage: which parts of its key differed from the time before."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.explaining import explain, explain_all
    from flows.tables import print_explanation, print_explanations

    if stage is None:
        found = explain_all(find_home(), model)
        _print_json([asdict(one) for one in found]) if as_json else print_explanations(found)
    else:
        one = explain(find_home(), model, stage)
        _print_json(asdict(one)) if as_json else print_explanation(one)


@app.command()
def up(
    prefect_port: Annotated[
        int | None, typer.Option(help="Of the Prefect server; else 4200.", min=1, max=65535)
    ] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Of the MLflow server; else 5000.", min=1, max=65535)] = None,
    production: Annotated[
        bool,
        typer.Option("--production", help="With PostgreSQL, S3, logins and two workers, for this home from now on."),
    ] = False,
    postgres_port: Annotated[int | None, typer.Option(help="With --production; else 5432.", min=1, max=65535)] = None,
    s3_port: Annotated[int | None, typer.Option(help="With --production; else 9000.", min=1, max=65535)] = None,
) -> None:
    """Start Prefect, MLflow and a worker here, and leave them running."""
    from components.home import find_home

    asked = {"postgres": postgres_port, "s3": s3_port, "prefect": prefect_port, "mlflow": mlflow_port}
    ports = {name: port for name, port in asked.items() if port is not None}
    if production:
        from flows.servers.production import up_production

        urls = up_production(find_home(), ports=ports, say=_say).urls
        typer.echo("\n".join(f"{name:9}{url}" for name, url in urls.items()))
        return
    from flows.servers.services import RUNS_PAGE
    from flows.servers.services import up as start

    if only := sorted(ports.keys() & {"postgres", "s3"}):
        raise refuse(f"--{only[0]}-port is for --production", do="leave it out, or add --production")
    services = start(
        find_home(), prefect_port=ports.get("prefect", 4200), mlflow_port=ports.get("mlflow", 5000), say=_say
    )
    typer.echo(f"Prefect  {services.prefect.url}\nMLflow   {services.mlflow.url}{RUNS_PAGE}")


@app.command()
def down() -> None:
    """Stop what `up` started."""
    from components.home import find_home
    from flows.servers.services import at_work
    from flows.servers.services import down as stop

    home = find_home()
    if runs := at_work(home):
        what = "what a run needs of these servers it waits for, a minute at the least, and then it ends; run again, "
        _say(f"at work: {', '.join(runs)} ({what}it goes on from there)")
    stopped = stop(home)
    _say(f"stopped {', '.join(stopped)}" if stopped else "nothing was up")


@app.command("list")
def list_releases(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None, as_json: AsJson = False
) -> None:
    """List the registered versions, and which is champion."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.releasing import listed

    rows = listed(find_home(), model, say=_say)
    if as_json:
        _print_json([asdict(row) for row in rows])
    else:
        from flows.tables import print_releases

        print_releases(rows, home=find_home())


@app.command()
def show(
    model: Model,
    version: Version = None,
    named: NamedVersion = None,
    as_json: AsJson = False,
) -> None:
    """Show one version, its tests, and every decision about it."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.releasing import shown

    details = shown(find_home(), model, _either(version, named), say=_say)
    if as_json:
        _print_json(asdict(details))
    else:
        from flows.tables import print_release

        print_release(details)


@app.command()
def promote(
    model: Model,
    version: Annotated[int | None, typer.Argument(metavar="VERSION", help="The version to make champion.")] = None,
    named: NamedVersion = None,
    expected: Annotated[
        int | None, typer.Option(help="The champion that you expect, 0 for none; else whoever is.")
    ] = None,
    reason: Annotated[str, typer.Option(help="For the audit log.")] = "promoted by hand",
    force: Annotated[bool, typer.Option("--force", help="Even if it was rejected or rolled back.")] = False,
) -> None:
    """Make a version champion, unless it answers wrongly."""
    from components.home import find_home
    from flows.releasing import promote_by_hand

    if (chosen := _either(version, named)) is None:
        raise refuse(
            "promote needs a version", do=f"`steelyard promote {model} VERSION`; `steelyard list {model}` shows them"
        )
    _say(promote_by_hand(find_home(), model, chosen, expected=expected, reason=reason, force=force))


@app.command()
def rollback(
    model: Model,
    version: Annotated[
        int | None,
        typer.Argument(metavar="VERSION", help="The version to go back to; else the champion before this one."),
    ] = None,
    named: Annotated[
        int | None, typer.Option("--version", "--to", help="The same, by its name.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="For the audit log.")] = "rolled back by hand",
) -> None:
    """Make an earlier version champion again. The present one isn't promoted again without --force."""
    from components.home import find_home
    from flows.releasing import roll_back

    _say(roll_back(find_home(), model, to=_either(version, named), reason=reason))


@app.command()
def serve(
    model: Model,
    version: Version = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5001,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    named: NamedVersion = None,
) -> None:
    """Serve a model over HTTP until Ctrl-C. A curl line that works is printed."""
    from components.home import find_home
    from flows.serving import serve as serve_model

    serve_model(find_home(), model, version=_either(version, named), host=host, port=port, say=_say, show=typer.echo)


@app.command()
def predict(
    model: Model,
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV, Parquet or npz file, an image, or a folder of images.")
    ],
    output: Annotated[
        Path, typer.Option(help="A CSV or Parquet file: a new one, or earlier answers, which are replaced.")
    ] = Path("predictions.csv"),
    version: Version = None,
    named: NamedVersion = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Carry a column, such as an id, into the answers.")
    ] = None,
) -> None:
    """Answer the rows of a file. Say what in them is strange to the model, and write the answers to a file."""
    from components.home import find_home
    from flows.predicting import predict as predict_file

    replaced = ", in place of the answers that were there" if output.exists() else ""
    chosen, kept = _either(version, named), list(dict.fromkeys(keep or ()))
    rows = predict_file(find_home(), model, source, output=output, version=chosen, keep=kept, say=_say)
    _say(f"wrote {rows:,} answer{'s' * (rows != 1)} to {output}{replaced}")


@app.command()
def report(model: Model, version: Version = None, named: NamedVersion = None) -> None:
    """Print the path of a version's report."""
    from components.home import find_home
    from flows.releasing import report_of

    typer.echo(str(report_of(find_home(), model, _either(version, named))))


@app.command()
def verify(
    model: Model,
    version: Version = None,
    named: NamedVersion = None,
    as_json: AsJson = False,
) -> None:
    """Hash a release's chain and the files of its version again. Name what is broken; exit code 3 if anything is."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.verifying import verify as verified

    checks = verified(find_home(), model, _either(version, named))
    if as_json:
        _print_json([asdict(one) for one in checks])
    else:
        from flows.tables import print_checks

        print_checks(checks)
    if any(one.status == "broken" for one in checks):
        sys.exit(3)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine, its workers and the state. Versions, servers, databases, store, disk."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.console import in_turn
    from flows.doctor.examine import examine
    from flows.doctor.workers import second_opinions

    home = find_home()
    with in_turn("looking at this machine") as tell:
        found = examine(home, tell=tell)
        found += second_opinions(home, found, tell=tell)
    if as_json:
        _print_json([asdict(one) for one in found])
    else:
        from flows.tables import print_examination

        print_examination(found)
    if any(one.state == "bad" for one in found):
        sys.exit(2)


@app.command()
def reap(
    keep: Annotated[
        float, typer.Option(metavar="DAYS", min=1, help="Results that were used within so many days stay.")
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only listed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what nothing live refers to, and with --yes remove it.

    Nothing goes that a release, a run at work or a result of late refers to, and no bytes that are younger than a day.
    """
    from components.home import find_home
    from flows.reap.reap import reap as reap_home

    found = reap_home(find_home(), keep_days=keep, remove=yes)
    if as_json:
        _print_json(found.told())
    else:
        from flows.tables import print_reaped

        print_reaped(found)


@data.command("list")
def list_data(as_json: AsJson = False) -> None:
    """List the data sets that runs have taken in."""
    from dataclasses import asdict

    from components.home import find_home
    from flows.datasets import datasets

    rows = datasets(find_home())
    if as_json:
        _print_json([asdict(row) for row in rows])
    else:
        from flows.tables import print_datasets

        print_datasets(rows, home=find_home())


@data.command()
def restore(
    digest: Annotated[str, typer.Argument(help="The SHA-256 or DVC's MD5 of the data set, or its beginning.")],
    output: Annotated[
        Path | None, typer.Option(help="The folder to make; else one here, named by 12 letters of the SHA-256.")
    ] = None,
) -> None:
    """Have a data set back from the DVC remote."""
    from components.home import find_home
    from flows.datasets import restore as bring_back

    _say(f"restored {bring_back(find_home(), digest, output=output)}")


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from components.recipe_schema import json_schema

    _print_json(json_schema())


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def _say(text: str) -> None:
    """Tell a person something, on standard error: standard output is for results."""
    sys.stderr.write(f"{text}\n")


def _either(version: int | None, named: int | None) -> int | None:
    """Return the version that was asked for, as a word or with --version."""
    if None not in (version, named) and version != named:
        raise refuse(f"versions {version} and {named} are asked for", do="name one of them")
    return named if version is None else version


def _red(text: str) -> str:
    return f"\033[31m{text}\033[0m" if sys.stderr.isatty() else text


if __name__ == "__main__":
    main()
