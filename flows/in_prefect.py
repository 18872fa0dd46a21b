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
from tasks.remote.rows import TAG
from tasks.runner import PrefectRun, Reached
from tasks.stage import Yard


def in_prefect(recipe: Recipe, source: Source, runner: PrefectRun) -> tuple[Outcome, str]:
    """Run the pipeline, and return its outcome with the id of the flow run.

    Raises:
        Refusal, Reached: as the stages do; in Prefect the run then shows as failed, or as completed early.
    """
    from prefect import flow, tags
    from prefect.client.schemas.objects import State
    from prefect.runtime import flow_run
    from prefect.states import Completed, Failed

    ended: list[tuple[Outcome, str]] = []
    stopped: list[Refusal | Reached] = []

    def body(model: str, recipe_values: dict[str, object]) -> State[None]:  # noqa: ARG001 - shown in Prefect's pages
        try:
            outcome = retrain(recipe, source, runner)
        except Refusal as refusal:
            stopped.append(refusal)
            return Failed(message=str(refusal))
        except Reached as reached:
            stopped.append(reached)
            return Completed(message=f"stopped after {reached}, as asked")
        _show(recipe, outcome, runner.yard)
        ended.append((outcome, str(flow_run.id)))
        return Completed(message=outcome.promoted.reason)

    as_flow = flow(name="retrain", flow_run_name=recipe.model, persist_result=False, validate_parameters=False)
    with tags(TAG), _interrupts():
        state = as_flow(body)(recipe.model, asdict(public(recipe)), return_state=True)
        if stopped:
            raise stopped[0]
        if not ended:
            state.result()  # raises what went wrong
    return ended[0]


@contextmanager
def _interrupts() -> Iterator[None]:
    """Raise Ctrl-C and SIGTERM as such: where they meet Prefect as it begins a task, it raises an error of its own."""
    try:
        yield
    except Exception as error:
        for cause in causes(error):
            if isinstance(cause, KeyboardInterrupt | SystemExit):
                raise cause from None
        raise


def _show(recipe: Recipe, outcome: Outcome, yard: Yard) -> None:
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    create_table_artifact(
        key="candidates", table=candidate_rows(outcome.evidence), description=f"candidates of {recipe.model}"
    )
    path = laid_out(outcome, yard) / REPORT
    text = f"**{outcome.promoted.reason}**\n\n[The report]({path.as_uri()}): `{path}`\n"
    create_markdown_artifact(key="report", markdown=text, description=f"release of {recipe.model}")
