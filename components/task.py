"""What a model is asked to do, and the figures that say how well it does it."""

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

LOWER_IS_BETTER: Final[frozenset[Metric]] = frozenset({"log_loss", "calibration_error", "rmse", "mae"})

DEFAULT_METRIC: Final[dict[Task, Metric]] = {"classification": "accuracy", "regression": "rmse"}
