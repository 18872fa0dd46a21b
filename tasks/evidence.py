"""What a run found of its release: the report shows it, and the registered version is made of it."""

from dataclasses import dataclass

from components.compression.candidates import limit
from components.planning.machine import Machine
from components.recipe import Recipe
from components.release.cautions import cautions
from tasks.evaluate import Tested
from tasks.export import Exported
from tasks.gate import Judged
from tasks.profile import Profiled
from tasks.select import Selected
from tasks.split import Splits
from tasks.train import Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """The outputs of the stages up to the gate."""

    splits: Splits
    models: tuple[Trained, ...]  # the trained one, then the pruned ones
    exported: tuple[Exported, ...]
    machine: Machine  # on which latency was measured
    profiled: Profiled
    selected: Selected
    tested: Tested
    judged: Judged

    @property
    def chosen(self) -> Exported:
        """The file that was selected."""
        return next(one for one in self.exported if one.onnx == self.selected.onnx)

    def cautions(self, recipe: Recipe) -> tuple[str, ...]:
        """What a reader must beware of."""
        metric, tested, judged = recipe.judged_by, self.tested, self.judged
        uncompressed, log_loss = tested.uncompressed.of(metric).value, tested.uncompressed.figures.get("log_loss")
        judgement, group = judged.judgement, recipe.split.group
        return cautions(
            metric,
            released=tested.selected,
            uncompressed=uncompressed,
            simple={name: found[metric].value for name, found in tested.baselines.items() if metric in found},
            leads=tested.leads,
            column=tested.column,
            worst=limit(recipe.select, metric, uncompressed),
            selected_on=self.profiled.rows,
            max_loss=recipe.select.max_loss if len(self.exported) > 1 else None,
            log_loss=None if log_loss is None else log_loss.value,
            in_train=self.splits.in_train["test"],
            input_group=group if group is not None and recipe.data.columns[group] != "ignore" else "",
            gone=judged.gone if judgement.comparison is not None else 0.0,
            champion=judgement.champion or "",
            floorless=judgement.decision == "yes" and judgement.champion is None and recipe.gate.floor is None,
        )
