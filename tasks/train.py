"""Fit the preparation and the network on the train rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.data.config import DataConfig, PrepareConfig
from components.models.config import Network
from components.store.artifact import Artifact
from components.task import Metric, Task
from components.training.config import TrainConfig
from tasks.split import Splits, rows_for
from tasks.stage import Tracker, Workspace, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A trained model: a folder of model.json and weights.safetensors."""

    name: str
    model: Artifact
    parameters: int
    history: tuple[dict[str, float], ...]  # by epoch
    best_epoch: int
    seconds: float
    samples_per_second: float
    device: str

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {
            f"{self.name}.parameters": self.parameters,
            f"{self.name}.best_epoch": self.best_epoch,
            f"{self.name}.samples_per_second": self.samples_per_second,
        }


@dataclass(frozen=True, slots=True)
class Watch:
    """Passes each epoch's figures on to the tracker."""

    tracker: Tracker
    name: str

    def step(self, *, step: int, steps: int) -> None:
        """Steps are the progress bar's."""
        self.tracker.progress(self.name, step, steps)

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        """Record the epoch."""
        self.tracker.metrics({f"{self.name}.{metric}": value for metric, value in metrics.items()}, step=epoch)


@stage(libraries=("torch", "numpy"))
def train(
    here: Workspace,
    config: TrainConfig,
    *,
    network: Network,
    prepare: PrepareConfig,
    data: DataConfig,
    task: Task,
    metric: Metric,
    seed: int,
    splits: Splits,
) -> Trained:
    """Fit the uncompressed model."""
    from components.data.prepare import fit as fit_preparation
    from components.models.model import ModelSpec, build, save
    from components.training.examples import examples
    from components.training.loop import fit

    rows = rows_for(here, splits, "train", data=data, purpose="fit")
    preparation = fit_preparation(prepare, data, rows, task=task)
    spec = ModelSpec(task=task, network=network, preparation=preparation)
    model = build(spec, seed=seed)
    fitted = fit(
        model,
        config,
        examples(preparation, rows),
        examples(preparation, rows_for(here, splits, "validation", data=data, purpose="stop")),
        metric=metric,
        seed=seed,
        folder=here.folder / "checkpoint",
        observer=Watch(here.tracker, "train"),
    )
    return Trained(
        name="train",
        model=here.keep(save(model, spec, here.folder / "model")),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        seconds=fitted.seconds,
        samples_per_second=fitted.samples_per_second,
        device=fitted.device,
    )
