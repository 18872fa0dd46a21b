"""Figures of quality: of the trained model on validation, and of what may be released on the test rows."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from components.aim import Aim
from components.compression.candidates import UNCOMPRESSED
from components.evaluation.config import EvaluateConfig
from components.evaluation.interval import Interval
from components.evaluation.metrics import Evaluation
from components.store.artifact import Artifact
from components.task import Metric
from tasks.export import Exported
from tasks.select import Selected
from tasks.split import READ, Splits, groups_for, rows_for
from tasks.stage import Workspace, stage
from tasks.train import Trained

if TYPE_CHECKING:
    from components.data.preparing.preparation import Preparation
    from components.data.rows import Rows
    from components.evaluation.baselines import Baselines
    from components.runtimes.feeds import Output


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """The trained model on validation rows."""

    evaluation: Evaluation

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"validation.{metric}": one.value for metric, one in self.evaluation.figures.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """The released file, the uncompressed one and the baselines on the test rows: the figures that are reported."""

    selected: Evaluation
    uncompressed: Evaluation
    baselines: dict[str, dict[Metric, Interval]]
    leads: dict[str, Interval]  # of the released file over each baseline, by the recipe's metric
    notes: tuple[str, ...]
    column: str = ""  # the one that tells most alone, of the baseline one_column
    answers: Artifact  # the released file's outputs [N, K] on the test rows, float32 npy

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        parts = {"test": self.selected.figures, "test.uncompressed": self.uncompressed.figures}
        parts |= {f"test.baseline.{name}": figures for name, figures in self.baselines.items()}
        return {f"{part}.{name}": one.value for part, figures in parts.items() for name, one in figures.items()}


@stage(libraries=("torch", "numpy", "scipy", *READ))
def evaluate(here: Workspace, config: EvaluateConfig, *, aim: Aim, trained: Trained, splits: Splits) -> Evaluated:
    """Measure the trained model on validation rows."""
    from components.data.preparing.prepare import encode_target
    from components.evaluation.metrics import evaluate as measure
    from components.export.parity import reference
    from components.models.model import load

    loaded = load(here.open(trained.model))
    preparation = loaded.spec.preparation
    rows = rows_for(here, splits, "validation", data=aim.data, purpose="select")
    measured = measure(
        config,
        task=aim.task,
        target=encode_target(preparation, rows),
        output=reference(loaded.model, preparation, rows),
        classes=preparation.target.classes,
        seed=aim.seed,
        groups=groups_for(here, splits, "validation", purpose="select"),
    )
    measured.of(aim.metric)  # or it is refused, before anything is compressed
    return Evaluated(evaluation=measured)


@stage(libraries=("onnxruntime", "numpy", "scikit-learn", "scipy", *READ))
def evaluate_test(
    here: Workspace,
    config: EvaluateConfig,
    *,
    aim: Aim,
    balanced: bool,
    exported: tuple[Exported, ...],
    selected: Selected,
    splits: Splits,
) -> Tested:
    """Measure the selected and the uncompressed file, and simple models beside them, on the test rows.

    `balanced`: the net was trained with classes weighed against their share, so the simple models are, too.
    """
    import numpy as np

    from components.data.preparing.prepare import encode_target
    from components.evaluation.metrics import evaluate as measure
    from components.evaluation.metrics import lead
    from components.models.model import read_preparation

    preparation = read_preparation(here.open(selected.model))
    rows = rows_for(here, splits, "test", data=aim.data, purpose="report")
    target, groups = encode_target(preparation, rows), groups_for(here, splits, "test", purpose="report")
    classes = preparation.target.classes
    (whole,) = (one for one in exported if one.name == UNCOMPRESSED)
    answers = {one.digest: _answers(here, selected, one, preparation, rows) for one in {selected.onnx, whole.onnx}}
    simple = _simple(here, aim, splits, preparation, rows, balanced=balanced) if config.baselines else None
    outputs, ours = simple.outputs if simple else {}, answers[selected.onnx.digest]
    measured = partial(measure, config, task=aim.task, target=target, classes=classes, seed=aim.seed, groups=groups)
    ahead = partial(
        lead,
        config,
        metric=aim.metric,
        task=aim.task,
        target=target,
        output=ours,
        classes=len(classes),
        seed=aim.seed,
        groups=groups,
    )
    released = measured(output=ours)
    released.of(aim.metric)
    leads = {name: ahead(other=output) for name, output in outputs.items()}
    file = here.folder / "answers.npy"
    np.save(file, ours, allow_pickle=False)
    return Tested(
        selected=released,
        uncompressed=measured(output=answers[whole.onnx.digest]),
        baselines={name: measured(output=output).figures for name, output in outputs.items()},
        leads={name: found for name, found in leads.items() if found is not None},
        notes=simple.notes if simple else (),
        column=simple.column if simple else "",
        answers=here.keep(file),
    )


def _answers(here: Workspace, selected: Selected, onnx: Artifact, preparation: "Preparation", rows: "Rows") -> "Output":
    """Return a file's outputs on the rows, [N, K], in the runtime that was selected."""
    from components.runtimes.feeds import predict
    from components.runtimes.table import RUNTIMES

    return predict(RUNTIMES[selected.runtime](here.open(onnx), threads=1), preparation, rows)


def _simple(
    here: Workspace, aim: Aim, splits: Splits, preparation: "Preparation", rows: "Rows", *, balanced: bool
) -> "Baselines":
    """Return the simple models, which learn from the train rows, on the rows."""
    from components.evaluation.baselines import baselines  # two seconds of imports that not everybody needs

    learned = rows_for(here, splits, "train", data=aim.data, purpose="fit")
    return baselines(
        aim.task,
        train=learned,
        part=rows,
        preparation=preparation,
        metric=aim.metric,
        seed=aim.seed,
        balanced=balanced,
    )
