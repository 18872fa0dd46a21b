"""The pipeline as a Prefect flow run, with the report and the table of candidates as its artifacts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from components.errors import Refusal, causes
from components.planning.source import Source
from components.recipe import Recipe
from components.recipe_file import public
from flows.layout import REPORT
from flows.retrain import Outcome, retrain
from flows.summary import candidate_rows, laid_out
from tasks.living.deleted import DELETED, deleted, is_deleted
from tasks.living.pulse import pulse
from tasks.living.stopping import Stopped, stoppable
from tasks.remote.rows import LEDGER, TAG
from tasks.runner import PrefectRun
from tasks.stage import Yard
from tasks.until import Reached


def in_prefect(recipe: Recipe, source: Source, runner: PrefectRun) -> tuple[Outcome, str]:
    """Run the pipeline, and return its outcome with the id of the flow run.

    Raises:
        Refusal, Reached: as the stages do; in Prefect the run then shows as failed, or as completed early. Also a
            Refusal where the flow run was deleted in Prefect before it was done.
        KeyboardInterrupt, SystemExit: it was stopped here, or cancelled in Prefect, which shows it as cancelled.
    """
    from prefect import flow, tags
    from prefect.client.schemas.objects import State
    from prefect.context import TagsContext
    from prefect.runtime import flow_run
    from prefect.states import Cancelled, Completed, Failed

    ended: list[tuple[Outcome, str]] = []
    stopped: list[Refusal | Reached | KeyboardInterrupt | SystemExit] = []

    def body(model: str, recipe_values: dict[str, object]) -> State[None]:  # noqa: ARG001 - shown in Prefect's pages
        try:
            with TagsContext(current_tags=set()), stoppable() as stop, pulse(flow_run.id, stop):
                outcome = retrain(recipe, source, runner)
                _show(recipe, outcome, runner.yard)
        except Refusal as refusal:
            stopped.append(refusal)
            return Failed(message=str(refusal))
        except Reached as reached:
            stopped.append(reached)
            return Completed(message=f"stopped after {reached}, as asked")
        except BaseException as error:
            interrupt = interrupt_in(error)
            if interrupt is None:
                raise
            stopped.append(_meant(interrupt, recipe))
            return Cancelled(message=_told(interrupt, runner.yard))
        ended.append((outcome, str(flow_run.id)))
        return Completed(message=outcome.promoted.reason)

    as_flow = flow(name="retrain", flow_run_name=recipe.model, persist_result=False, validate_parameters=False)
    with tags(TAG, LEDGER + runner.yard.ledger.identity()), _interrupts(recipe):
        try:
            state = as_flow(body)(recipe.model, asdict(public(recipe)), return_state=True)
            if not (stopped or ended):
                state.result()  # raises what went wrong
        except Exception as error:
            if not is_deleted(error):
                raise
            if not (stopped or ended):  # else how it ended is known here, only Prefect can't be told
                raise deleted(recipe.model) from None
        if stopped:
            raise stopped[0]
    return ended[0]


@contextmanager
def _interrupts(recipe: Recipe) -> Iterator[None]:
    """Raise Ctrl-C and SIGTERM as such: where they meet Prefect as it begins a task, it raises an error of its own."""
    try:
        yield
    except Exception as error:
        interrupt = interrupt_in(error)
        if interrupt is None:
            raise
        raise _meant(interrupt, recipe) from None


def interrupt_in(error: BaseException) -> KeyboardInterrupt | SystemExit | None:
    """Return the wish to end that an error came from, if one did."""
    from prefect.exceptions import TerminationSignal

    for cause in causes(error):
        match cause:
            case KeyboardInterrupt() | SystemExit():
                return cause
            case TerminationSignal():  # Prefect's word for SIGTERM within a flow
                return SystemExit(128 + cause.signal)
    return None


def _meant(interrupt: KeyboardInterrupt | SystemExit, recipe: Recipe) -> KeyboardInterrupt | SystemExit | Refusal:
    """Return what a run ends with that was interrupted: a wish to end is none where its flow run was deleted."""
    return deleted(recipe.model) if isinstance(interrupt, Stopped) and str(interrupt) == DELETED else interrupt


def _told(interrupt: KeyboardInterrupt | SystemExit, yard: Yard) -> str:
    """Return why a run ended, for Prefect; what only Prefect knew is said here."""
    match interrupt:
        case Stopped():
            if str(interrupt) != DELETED:  # which is refused, and shown as that
                yard.tracker.say(str(interrupt))
            return str(interrupt)
        case SystemExit():
            return "stopped by SIGTERM"
        case _:
            return "stopped by Ctrl-C"


def _show(recipe: Recipe, outcome: Outcome, yard: Yard) -> None:
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    create_table_artifact(
        key="candidates", table=candidate_rows(outcome.evidence), description=f"candidates of {recipe.model}"
    )
    path = laid_out(outcome, yard) / REPORT
    text = f"**{outcome.promoted.reason}**\n\n[The report]({path.as_uri()}): `{path}`\n"
    create_markdown_artifact(key="report", markdown=text, description=f"release of {recipe.model}")
