"""Draw the report of a release."""

from dataclasses import dataclass

from components.planning.machine import Machine
from components.recipe import Recipe
from components.store.artifact import Artifact
from tasks.evaluate import Tested
from tasks.export import Exported
from tasks.gate import Judged
from tasks.profile import Profiled
from tasks.select import Selected
from tasks.split import Splits
from tasks.stage import Workspace, stage
from tasks.train import Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """The report: one HTML file."""

    page: Artifact


@stage(libraries=("jinja2", "torch", "onnxruntime"))
def report(
    here: Workspace,
    recipe: Recipe,
    *,
    models: tuple[Trained, ...],
    exported: tuple[Exported, ...],
    profiled: Profiled,
    selected: Selected,
    tested: Tested,
    judged: Judged,
    machine: Machine,
    splits: Splits,
) -> Reported:
    """Put what the stages found on one page."""
    from components.release.report import render
    from tasks.page import page

    shown = page(
        recipe,
        models=models,
        exported=exported,
        profiled=profiled,
        selected=selected,
        tested=tested,
        judged=judged,
        machine=machine,
        splits=splits,
        run=here.yard.run,
    )
    file = here.folder / "report.html"
    file.write_text(render(shown), "utf-8")
    return Reported(page=here.keep(file))
