"""What a model is asked to do, and the figures that say how well it does it."""

from math import inf
from typing import Final, Literal

Task = Literal["classification", "regression"]

Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "roc_auc",
    "log_loss",
    "calibration_error",
    "rmse",
    "mae",
    "r2",
]

METRICS: Final[dict[Task, tuple[Metric, ...]]] = {
    "classification": (
        "accuracy",
        "balanced_accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "roc_auc",
        "log_loss",
        "calibration_error",
    ),
    "regression": ("rmse", "mae", "r2"),
}

# What models are chosen and promoted by. Not the calibration error: chance makes a sum of absolute values larger, most
# where the truth is 0, so that the worse of two models looks too good (at the margin the gate passed 15 to 22 of 100).
JUDGED_BY: Final[dict[Task, tuple[Metric, ...]]] = {
    task: tuple(metric for metric in metrics if metric != "calibration_error") for task, metrics in METRICS.items()
}

LOWER_IS_BETTER: Final[frozenset[Metric]] = frozenset({"log_loss", "calibration_error", "rmse", "mae"})

RANGES: Final[dict[Metric, tuple[float, float]]] = {
    **dict.fromkeys(METRICS["classification"], (0.0, 1.0)),
    "log_loss": (0.0, inf),
    "rmse": (0.0, inf),
    "mae": (0.0, inf),
    "r2": (-inf, 1.0),
}

DEFAULT_METRIC: Final[dict[Task, Metric]] = {"classification": "accuracy", "regression": "rmse"}
