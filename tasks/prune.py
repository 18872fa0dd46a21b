"""Remove channels and neurons, then train what is left."""

from components.aim import Aim
from components.compression.config import Prune
from components.training.config import TrainConfig
from tasks.split import READ, Splits, rows_for
from tasks.stage import Workspace, stage
from tasks.train import Trained, Watch, kept


@stage(libraries=("torch", "torch-pruning", "safetensors", "numpy", *READ))
def prune(
    here: Workspace, method: Prune, *, name: str, aim: Aim, config: TrainConfig, trained: Trained, splits: Splits
) -> Trained:
    """Prune the trained model and fine-tune it on the train rows."""
    from components.compression.pruning import PRUNERS, finetuning
    from components.models.model import load
    from components.training.from_rows import examples, few
    from components.training.loop import fit

    loaded = load(here.open(trained.model))
    preparation = loaded.spec.preparation
    learned = examples(preparation, rows_for(here, splits, "train", data=aim.data, purpose="fit"))
    pruned = PRUNERS[method.method](loaded.model, method, example=few(learned, rows=2))
    tuning = finetuning(method, config)
    if tuning is None:
        return kept(here, name, pruned.model, loaded.spec, None)
    fitted = fit(
        pruned.model,
        tuning,
        learned,
        examples(preparation, rows_for(here, splits, "validation", data=aim.data, purpose="stop")),
        spec=loaded.spec,
        metric=aim.metric,
        seed=aim.seed,
        folder=here.checkpoints,
        observer=Watch(here, name),
    )
    return kept(here, name, pruned.model, loaded.spec, fitted)
