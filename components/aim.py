"""What is learned from which columns by which network."""

from dataclasses import dataclass

from components.data.config import DataConfig
from components.models.config import Network
from components.task import Metric, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """What every stage from training on needs to know of the recipe."""

    task: Task
    metric: Metric
    seed: int
    data: DataConfig
    network: Network
