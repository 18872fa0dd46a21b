"""Stages one after the other in this process: without Prefect, and without a server."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from components.errors import refuse
from components.recipe import Recipe
from flows.retrain import retrain
from flows.running import find_source
from tasks.perform import perform
from tasks.stage import Stage, Yard
from tasks.until import Reached


class Inline:
    """What a flow calls its stages through. It ends before the stage `until`, and keeps outputs by their type."""

    def __init__(self, yard: Yard, *, until: Stage[..., Any] | None = None) -> None:
        self.yard = yard
        self.until = until
        self.found: dict[type, Any] = {}

    def __call__(self, stage: Stage[..., Any], *args: object, **kwargs: object) -> Any:
        """Run the stage."""
        if stage is self.until:
            raise Reached(stage.name)
        outputs = perform(stage, stage.bind(*args, **kwargs), self.yard, log=logging.getLogger("bench")).outputs
        self.found[type(outputs)] = outputs
        return outputs

    def ask(self, question: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        """Ask the ledger."""
        return question(self.yard, *args, **kwargs)

    def note(self, found: Callable[..., None], *args: object, **kwargs: object) -> None:
        """Write it down, where there is a run in MLflow."""
        if self.yard.run:
            found(self.yard, *args, **kwargs)


def run_inline(recipe: Recipe, yard: Yard, *, until: Stage[..., Any] | None = None) -> dict[type, Any]:
    """Run a recipe, up to before a stage, and return the outputs by their type: of stages for many, the last."""
    run, source = Inline(yard, until=until), find_source(recipe, yard, bring=True)
    if source is None:
        raise refuse(f"no data for {recipe.model}")
    with suppress(Reached):
        retrain(recipe, source, run)
    return run.found
