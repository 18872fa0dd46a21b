"""Remove channels and neurons, then train what is left."""

from components.compression.config import Prune
from components.data.config import DataConfig
from components.models.config import Network
from components.task import Metric, Task
from components.training.config import TrainConfig
from tasks.split import Splits, rows_for
from tasks.stage import Workspace, stage
from tasks.train import Trained, Watch


@stage(libraries=("torch", "torch-pruning", "numpy"))
def prune(
    here: Workspace,
    method: Prune,
    *,
    name: str,
    network: Network,
    config: TrainConfig,
    data: DataConfig,
    task: Task,
    metric: Metric,
    seed: int,
    trained: Trained,
    splits: Splits,
) -> Trained:
    """Prune the trained model and fine-tune it on the train rows."""
    from components.compression.pruning import finetuning, prune_model
    from components.models.model import load, save
    from components.training.examples import examples
    from components.training.loop import fit

    loaded = load(here.open(trained.model))
    preparation = loaded.spec.preparation
    fit_rows = examples(preparation, rows_for(here, splits, "train", data=data, purpose="fit"))
    model = prune_model(loaded.model, method, example=fit_rows)
    fitted = fit(
        model,
        finetuning(config, method),
        fit_rows,
        examples(preparation, rows_for(here, splits, "validation", data=data, purpose="stop")),
        metric=metric,
        seed=seed,
        folder=here.folder / "checkpoint",
        observer=Watch(here.tracker, name),
    )
    return Trained(
        name=name,
        model=here.keep(save(model, loaded.spec, here.folder / "model")),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        seconds=fitted.seconds,
        samples_per_second=fitted.samples_per_second,
        device=fitted.device,
    )
