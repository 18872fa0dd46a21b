"""The families of networks. To add one: a config, a function like these, a line here."""

from collections.abc import Callable

from torch import nn

from components.models.cnn import cnn
from components.models.custom import custom
from components.models.mlp import mlp
from components.models.resnet import resnet
from components.table import Table

# Called as family(config, shape=shape of one row of features, outputs=K).
FAMILIES: Table[Callable[..., nn.Module]] = Table(
    "network family",
    {
        "mlp": mlp,
        "cnn": cnn,
        "resnet": resnet,
        "custom": custom,
    },
)
