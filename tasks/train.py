"""Fit the preparation and the network on the train rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.aim import Aim
from components.data.config import PrepareConfig
from components.store.artifact import Artifact
from components.training.config import TrainConfig
from tasks.split import READ, Splits, rows_for
from tasks.stage import Workspace, stage

if TYPE_CHECKING:
    from components.models.model import Model, ModelSpec
    from components.training.job import Fitted


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A trained model: a folder of model.json and weights.safetensors."""

    name: str
    model: Artifact
    parameters: int
    history: tuple[dict[str, float], ...]  # by epoch; empty where nothing was trained
    best_epoch: int  # from 0
    seconds: float = field(metadata={"in_key": False})
    samples_per_second: float = field(metadata={"in_key": False})
    device: str

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        values = {"parameters": self.parameters, "best_epoch": self.best_epoch, "train_seconds": self.seconds}
        return {f"{self.name}.{name}": value for name, value in values.items()}

    def curves(self) -> tuple[dict[str, float], ...]:
        """The figures of each epoch, by the names under which they were tracked live."""
        return tuple({f"{self.name}.{metric}": value for metric, value in epoch.items()} for epoch in self.history)


@dataclass(frozen=True, slots=True)
class Watch:
    """Passes the figures of each epoch on to the tracker, and ends what another worker has taken over."""

    here: Workspace
    name: str

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Track the epochs that were done before."""
        self.here.tracker.past(self.name, [self._named(metrics) for metrics in epochs], step=step)

    def step(self, *, step: int, steps: int) -> None:
        """Move the progress bar, or raise LeaseLost."""
        self.here.hold.check()
        self.here.tracker.progress(step, steps)

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        """Track the epoch."""
        self.here.tracker.metrics(self._named(metrics), step=epoch)

    def _named(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return {f"{self.name}.{metric}": value for metric, value in metrics.items()}


@stage(libraries=("torch", "safetensors", "numpy", *READ))
def train(here: Workspace, config: TrainConfig, *, aim: Aim, prepare: PrepareConfig, splits: Splits) -> Trained:
    """Fit the uncompressed model."""
    from components.data.preparing.prepare import fit as fit_preparation
    from components.evaluation.metrics import check_areas
    from components.models.model import ModelSpec, build, check_whole, outline
    from components.training.from_rows import examples, few
    from components.training.linear_start import start_linear_
    from components.training.loop import fit
    from components.training.room import check_room

    check_areas(aim.metric, splits.classes)
    rows = rows_for(here, splits, "train", data=aim.data, purpose="fit")
    stop_rows = rows_for(here, splits, "validation", data=aim.data, purpose="stop")
    preparation = fit_preparation(prepare, aim.data, rows, task=aim.task)
    spec = ModelSpec(task=aim.task, network=aim.network, preparation=preparation)
    if (network := outline(spec)) is not None:
        check_room(network, config, of=aim.network)
    model = build(spec, seed=aim.seed)
    learned, validation = examples(preparation, rows), examples(preparation, stop_rows)
    start_linear_(model, config, learned, seed=aim.seed, file=here.checkpoints / "linear.safetensors")
    fitted = fit(
        model,
        config,
        learned,
        validation,
        spec=spec,
        metric=aim.metric,
        seed=aim.seed,
        folder=here.checkpoints,
        observer=Watch(here, "train"),
    )
    check_whole(model, spec, few(learned, rows=8))
    return kept(here, "train", model, spec, fitted)


def kept(here: Workspace, name: str, model: "Model", spec: "ModelSpec", fitted: "Fitted | None") -> Trained:
    """Put a model into the store, with how its training went; None: it wasn't trained again."""
    from components.models.model import save

    return Trained(
        name=name,
        model=here.keep(save(model, spec, here.folder / "model")),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        history=fitted.history if fitted else (),
        best_epoch=fitted.best_epoch if fitted else 0,
        seconds=fitted.seconds if fitted else 0.0,
        samples_per_second=fitted.samples_per_second if fitted else 0.0,
        device=fitted.device if fitted else "cpu",
    )
