"""Draw the report of a release."""

from dataclasses import dataclass

from components.recipe import Recipe
from components.store.artifact import Artifact
from tasks.evidence import Evidence
from tasks.stage import Workspace, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """The report: one HTML file."""

    page: Artifact


@stage(
    libraries=("jinja2", "torch", "onnxruntime", "numpy", "scipy"),
    files=("components/report/report.html.j2", "components/report/report.css"),
)
def report(here: Workspace, recipe: Recipe, evidence: Evidence) -> Reported:
    """Put the evidence on one page."""
    from components.report.report import render
    from tasks.page import page

    file = here.folder / "report.html"
    file.write_text(render(page(recipe, evidence, run=here.yard.run)), "utf-8")
    return Reported(page=here.keep(file))
