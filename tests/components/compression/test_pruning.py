from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.compression.config import PruneChannels
from components.compression.pruning import PRUNERS, finetuning, prune_channels
from components.data.preparing.prepare import encode
from components.errors import Refusal
from components.export.parity import parity, reference
from components.models.config import CNN, MLP, Custom, Network
from components.models.model import ModelSpec, load, save
from components.training.config import SGD, TrainConfig
from tests.components.export.samples import (
    TINY_CNN,
    TINY_MLP,
    TINY_RESNET,
    image_preparation,
    image_rows,
    model,
    table_preparation,
    table_rows,
)
from tests.components.export.test_parity import released


class TiedToItsInput(nn.Module):
    """One layer may shrink; the other's width is written into the reshape after it."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.free = nn.Linear(shape[0], 32)
        self.tied = nn.Linear(32, 24)
        self.output = nn.Linear(8, outputs)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.tied(torch.relu(self.free(features))).reshape(-1, 3, 8).mean(1)
        output: Tensor = self.output(torch.relu(hidden))
        return output


class OneLayer(nn.Module):
    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(shape[0], outputs)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.output(features)
        return output


class Twice(nn.Module):
    """Two layers of one weight."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first, self.one, self.two = nn.Linear(shape[0], 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.two.weight = self.one.weight
        self.output = nn.Linear(16, outputs)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.relu(self.one(torch.relu(self.first(features))))
        output: Tensor = self.output(torch.relu(self.two(hidden)))
        return output


class Often(nn.Sequential):
    """Four layers of one weight."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        same = [nn.Linear(16, 16) for _ in range(4)]
        for layer in same:
            layer.weight = same[0].weight
        super().__init__(nn.Linear(shape[0], 16), *same, nn.Linear(16, outputs))


class Attends(nn.Module):
    """Attention over four parts of a row, and a layer behind it."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(shape[0], 4 * 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.behind = nn.Linear(16, 64)
        self.output = nn.Linear(64, outputs)

    def forward(self, features: Tensor) -> Tensor:
        parts = self.first(features).unflatten(1, (4, 16))
        seen, _ = self.attention(parts, parts, parts, need_weights=False)
        output: Tensor = self.output(torch.relu(self.behind(seen.mean(1))))
        return output


def custom(name: str) -> Custom:
    return Custom(path=f"{__name__}:{name}")


TABLE, IMAGES = table_rows(), image_rows(8)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("network", [TINY_MLP, TINY_CNN, TINY_RESNET])
def test_pruned_model_is_smaller_and_keeps_its_output_shape(network: Network, ratio: float) -> None:
    table = isinstance(network, MLP)
    preparation = table_preparation() if table else image_preparation(IMAGES)
    rows = TABLE if table else IMAGES
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, rows))
    whole = model(network, preparation)
    before = reference(whole, preparation, rows)
    pruned = prune_channels(whole, PruneChannels(ratio=ratio), example=example)
    assert pruned.parameters_before == sum(p.numel() for p in whole.network.parameters())
    assert pruned.parameters_after == sum(p.numel() for p in pruned.model.network.parameters())
    assert pruned.parameters_after < pruned.parameters_before
    assert all(0 < after < width for width, after in pruned.channels.values())
    assert reference(pruned.model, preparation, rows).shape == before.shape
    np.testing.assert_array_equal(reference(whole, preparation, rows), before)


def test_half_of_the_channels_are_about_half() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    whole = model(MLP(width=64), preparation)
    layers = {name: m for name, m in whole.network.named_modules() if isinstance(m, nn.Linear)}
    pruned = PRUNERS["channels"](whole, PruneChannels(ratio=0.5), example=example)
    assert pruned.channels == {name: (64, 32) for name, layer in layers.items() if layer.out_features == 64}
    assert len(pruned.channels) == 3
    assert pruned.kept == ()


def test_the_smallest_channels_go() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    whole = model(MLP(width=32, depth=1), preparation)
    with torch.no_grad():
        whole.network.get_submodule("body.first").weight[::2] *= 1e-3  # type: ignore[operator, index]
        whole.network.get_submodule("body.output").weight[:, ::2] *= 1e-3  # type: ignore[operator, index]
    pruned = prune_channels(whole, PruneChannels(ratio=0.5), example=example)
    difference = reference(pruned.model, preparation, TABLE) - reference(whole, preparation, TABLE)
    assert np.abs(difference).max() < 0.01


def test_a_channel_is_as_large_as_the_squares_of_its_weights_say() -> None:
    """Half of them have one large weight, the others many small ones whose sum is larger."""
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    whole = model(MLP(width=32, depth=1), preparation)
    weights = dict(whole.network.named_parameters())
    with torch.no_grad():
        weights["body.first.weight"].fill_(0.05)
        weights["body.first.weight"][::2] = 0.0
        weights["body.first.weight"][::2, 0] = 1.0
        weights["body.first.bias"].zero_()
        weights["body.output.weight"].fill_(0.01)
    pruned = prune_channels(whole, PruneChannels(ratio=0.5), example=example).model
    left = pruned.network.get_submodule("body.first").weight
    assert isinstance(left, Tensor)
    assert left.shape[0] == 16
    assert (left[:, 0] == 1.0).all()


@pytest.mark.parametrize("network", [TINY_MLP, TINY_RESNET])
def test_pruned_model_exports_and_loads_again(network: Network, tmp_path: Path) -> None:
    table = isinstance(network, MLP)
    preparation = table_preparation() if table else image_preparation(IMAGES)
    rows = TABLE if table else IMAGES
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, rows))
    pruned = prune_channels(model(network, preparation), PruneChannels(), example=example).model
    assert parity(released(pruned, preparation, tmp_path), pruned, preparation, rows).max_abs_diff < 1e-5
    spec = ModelSpec(task="classification", network=network, preparation=preparation)
    loaded = load(save(pruned, spec, tmp_path / "saved")).model
    np.testing.assert_array_equal(reference(loaded, preparation, rows), reference(pruned, preparation, rows))


@pytest.mark.parametrize(("width", "ratio", "left"), [(64, 0.3, 40), (40, 0.5, 16), (20, 0.3, 12), (12, 0.25, 9)])
def test_counts_are_rounded_down_to_what_vector_instructions_like(width: int, ratio: float, left: int) -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    whole = model(MLP(width=width, depth=1, members=1), preparation)
    pruned = prune_channels(whole, PruneChannels(ratio=ratio), example=example)
    assert pruned.channels == {"body.first": (width, left)}


def test_attention_keeps_its_width() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    whole = model(custom("Attends"), preparation)
    pruned = prune_channels(whole, PruneChannels(), example=example)
    assert pruned.channels == {"body.network.behind": (64, 32)}
    before, after = (one.network.get_submodule("body.network.attention") for one in (whole, pruned.model))
    assert [weight.shape for weight in before.parameters()] == [weight.shape for weight in after.parameters()]


def test_what_is_not_trained_stays_so_when_the_rest_is_fine_tuned() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    pruned = prune_channels(model(TINY_MLP, preparation), PruneChannels(), example=example).model
    frozen = {name for name, weight in pruned.network.named_parameters() if not weight.requires_grad}
    assert frozen == {"linear.weight", "linear.bias", "linear.offsets.0.weight", "linear.offsets.1.weight"}


def test_layers_that_would_break_the_network_are_left_and_named() -> None:
    """Of 14 features: of 16, torch-pruning leaves this layer alone by itself."""
    whole = table_preparation()
    preparation = replace(whole, numbers=tuple(replace(number, ranks=None) for number in whole.numbers))
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    pruned = prune_channels(model(custom("TiedToItsInput"), preparation), PruneChannels(), example=example)
    assert pruned.channels == {"body.network.free": (32, 16)}
    assert pruned.kept == ("body.network.tied",)


@pytest.mark.parametrize("ratio", [0.8, 0.9, 0.97])
def test_of_a_narrow_layer_one_channel_is_left(ratio: float) -> None:
    preparation = image_preparation(IMAGES)
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, IMAGES))
    pruned = prune_channels(model(CNN(width=8, stages=2), preparation), PruneChannels(ratio=ratio), example=example)
    left = dict(pruned.channels.values())
    assert left == {width: max(1, int(width * (1 - ratio))) for width in (8, 16)}


@pytest.mark.parametrize(("ratio", "left"), [(0.5, {4: 4, 8: 4, 16: 8}), (0.75, {4: 2, 8: 2, 16: 4})])
def test_a_narrow_layer_is_cut_to_the_multiple_that_wide_ones_are_rounded_to(
    ratio: float, left: dict[int, int]
) -> None:
    """Rounded further down nothing would be left of it, and torch-pruning left all."""
    preparation = image_preparation(IMAGES)
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, IMAGES))
    pruned = prune_channels(model(CNN(width=4, stages=3), preparation), PruneChannels(ratio=ratio), example=example)
    assert dict(pruned.channels.values()) == {before: after for before, after in left.items() if before != after}


def test_layers_of_one_weight_are_pruned_each() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    pruned = prune_channels(model(custom("Twice"), preparation), PruneChannels(), example=example)
    assert {name.rpartition(".")[2]: left for name, (_, left) in pruned.channels.items()} == {
        "first": 8,
        "one": 8,
        "two": 8,
    }
    assert all(weight.requires_grad for weight in pruned.model.network.get_submodule("body.network").parameters())


def test_layers_of_one_weight_that_take_more_apart_are_refused() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    with pytest.raises(Refusal, match=r"ratio 0.1 removed less than it added.*\n.*raise the ratio"):
        prune_channels(model(custom("Often"), preparation), PruneChannels(ratio=0.1), example=example)


def test_pruned_layers_of_one_weight_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    preparation, network = table_preparation(), custom("Twice")
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    pruned = prune_channels(model(network, preparation), PruneChannels(), example=example).model
    torch.nn.init.normal_(pruned.network.get_parameter("body.network.two.weight"))  # as if trained: no longer alike
    spec = ModelSpec(task="classification", network=network, preparation=preparation)
    assert load(save(pruned, spec, tmp_path)).model(*example).equal(pruned(*example))


def test_pruning_that_removes_nothing_is_refused() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    with pytest.raises(Refusal, match=r"removed nothing .*output(.|\n)*to do:   widen the network, or leave out"):
        prune_channels(model(custom("OneLayer"), preparation), PruneChannels(), example=example)


def test_network_that_cannot_be_traced_is_refused() -> None:
    preparation = table_preparation()
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, TABLE))
    broken = model(TINY_MLP, preparation)
    broken.network.forward = lambda *_: torch.zeros(4, 3)  # type: ignore[method-assign]
    with pytest.raises(Refusal):
        prune_channels(broken, PruneChannels(), example=example)


def test_pruning_is_the_same_every_time() -> None:
    preparation = image_preparation(IMAGES)
    example = tuple(torch.from_numpy(array[:4]) for array in encode(preparation, IMAGES))
    states = [
        prune_channels(model(TINY_RESNET, preparation), PruneChannels(), example=example).model.state_dict()
        for _ in range(2)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_finetuning_is_shorter_and_slower() -> None:
    train = TrainConfig(optimizer=SGD(lr=0.1), epochs=100)
    tuned = finetuning(PruneChannels(finetune_epochs=3, finetune_lr_share=0.5), train)
    assert tuned == replace(train, epochs=3, optimizer=SGD(lr=0.05))
    assert finetuning(PruneChannels(finetune_epochs=0), train) is None
