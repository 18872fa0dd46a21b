import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from components.errors import Refusal
from components.models.config import CNN, MLP
from components.models.dropout import Dropout
from components.models.mlp import Perceptron
from components.models.model import build
from components.task import Metric
from components.training import loop, validate
from components.training.config import (
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Augment,
    Constant,
    CrossEntropy,
    Huber,
    OneCycle,
    OnPlateau,
    Optimizer,
    TrainConfig,
)
from components.training.examples import Dataset, Examples, Group, batches, dataset, order, steps_of_epoch
from components.training.fingerprint import fingerprint_of
from components.training.loop import fit
from components.training.optimizers import OPTIMIZERS, optimizer
from components.training.step import average_, one_by_one
from components.training.validate import standard_error, telling_rows
from components.training.watch import Silent
from tests.components.models.cases import SMALL, VALUE, raw, spec
from tests.components.training.cases import examples, train, weights

SHORT = TrainConfig(epochs=2, batch_size=8, threads=1, weight_average=0.0)
SURE = MLP(width=8, depth=2, dropout=0.0)


class Notes(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.epochs: list[tuple[int, dict[str, float]]] = []

    def step(self, *, step: int, steps: int) -> None:
        self.steps.append((step, steps))

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        self.epochs.append((epoch, dict(metrics)))


def test_the_loss_under_a_seed_is_what_it_was(tmp_path: Path) -> None:
    _, fitted = train(replace(SHORT, epochs=3), tmp_path, network=SURE)
    assert [epoch["train_loss"] for epoch in fitted.history] == pytest.approx(GOLDEN, rel=1e-4)


GOLDEN = [1.09909841, 1.09559260, 1.09425354]


@pytest.mark.parametrize("family", SMALL)
def test_each_family_learns(family: str, tmp_path: Path) -> None:
    config = replace(SHORT, epochs=30, optimizer=AdamW(lr=1e-2))
    _, fitted = train(config, tmp_path, network=SMALL[family], rows=64)
    assert fitted.history[-1]["train_loss"] < 0.7 * fitted.history[0]["train_loss"]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    first, second, other = (
        train(SHORT, tmp_path / name, seed=seed)[0] for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert weights(first, tmp_path / "1") == weights(second, tmp_path / "2") != weights(other, tmp_path / "3")


def test_the_seed_decides_the_order_of_rows_and_nothing_else_does(tmp_path: Path) -> None:
    """From the same first weights and without dropout."""
    of, made = spec(SURE), []
    learned, judged = examples(of, rows=37, seed=1), examples(of, rows=20, seed=2)
    for seed in (3, 3, 4):
        model = build(of, seed=0)
        folder = tmp_path / str(len(made))
        fit(model, SHORT, learned, judged, spec=of, metric="accuracy", seed=seed, folder=folder, observer=Silent())
        made.append(nn.utils.parameters_to_vector(model.network.parameters()).detach())
    assert made[0].equal(made[1])
    assert (made[0] - made[2]).abs().max() > 1e-4


def test_each_step_and_each_seed_draws_its_own_dropout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, forward = [], Dropout.forward

    def noted(dropout: Dropout, values: torch.Tensor) -> torch.Tensor:
        if dropout.training:
            drawn.append(forward(dropout, torch.ones_like(values)))
        return forward(dropout, values)

    monkeypatch.setattr(Dropout, "forward", noted)
    network = MLP(width=8, depth=1, dropout=0.5, members=1)  # it draws once a step
    for seed, name in ((3, "a"), (3, "b"), (4, "c")):
        train(replace(SHORT, batch_size=64), tmp_path / name, network=network, seed=seed)
    assert len(drawn) == 6
    assert all(one.equal(again) for one, again in zip(drawn[:2], drawn[2:4], strict=True))
    assert not any(drawn[one].equal(drawn[other]) for one, other in ((0, 1), (0, 4), (1, 5)))


class Settings(Silent):
    """Looks at torch's settings while it trains."""

    def step(self, *, step: int, steps: int) -> None:
        self.threads, self.deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()


def test_it_trains_by_deterministic_algorithms_on_the_threads_that_were_asked_for(tmp_path: Path) -> None:
    seen = Settings()
    train(replace(SHORT, threads=torch.get_num_threads() + 1), tmp_path, observer=seen)
    assert (seen.threads, seen.deterministic) == (torch.get_num_threads() + 1, True)


def test_the_random_state_and_the_settings_of_torch_are_put_back(tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(replace(SHORT, threads=threads + 1), tmp_path)
    assert torch.get_num_threads() == threads
    assert torch.get_rng_state().equal(state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_observer_is_told_of_each_step_and_epoch(tmp_path: Path) -> None:
    notes = Notes()
    _, fitted = train(SHORT, tmp_path, observer=notes)
    assert notes.steps == [(step, 10) for step in range(1, 11)]  # 37 rows: 5 batches of 8, 2 epochs
    assert notes.epochs == list(enumerate(fitted.history))
    assert set(fitted.history[0]) == {"train_loss", "validation_loss", "validation_accuracy", "lr"}


def test_of_many_classes_few_rows_are_judged_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward, judged = Perceptron.forward, []

    def noted(network: Perceptron, features: torch.Tensor) -> torch.Tensor:
        judged.extend([] if network.training else [len(features)])
        return forward(network, features)

    whole = train(SHORT, tmp_path / "whole", network=SURE)[1]
    monkeypatch.setattr(Perceptron, "forward", noted)
    monkeypatch.setattr(validate, "CHUNK_OUTPUTS", 9)  # three rows of three classes
    parts = train(SHORT, tmp_path / "parts", network=SURE)[1]
    assert judged == 2 * [*6 * [3], 2]
    assert [one["validation_loss"] for one in parts.history] == pytest.approx(
        [one["validation_loss"] for one in whole.history]
    )


def test_a_compiled_training_is_compiled_and_learns_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really, compiled = torch.compile, list[object]()

    def traced(forward: nn.Module) -> object:
        compiled.append(forward)
        return really(forward, backend="eager")  # all but the machine code, for which a C++ compiler is wanted

    monkeypatch.setattr(torch, "compile", traced)
    losses = [train(replace(SHORT, compile=way), tmp_path / str(way), network=SURE)[1] for way in (False, True)]
    assert len(compiled) == 1
    assert losses[1].history[-1]["train_loss"] == pytest.approx(losses[0].history[-1]["train_loss"], rel=1e-5)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "f1_macro", "roc_auc"])
def test_the_weights_of_the_best_epoch_are_kept(metric: Metric, tmp_path: Path) -> None:
    config = replace(SHORT, epochs=8, optimizer=Adam(lr=0.1), schedule=Constant())
    model, fitted = train(config, tmp_path / "long", metric=metric)
    values = [epoch[f"validation_{metric}"] for epoch in fitted.history]
    best = min(values) if metric == "log_loss" else max(values)
    near = 0.0 if metric == "log_loss" else standard_error(best, rows=20)
    assert abs(values[fitted.best_epoch] - best) <= near
    until = replace(config, epochs=fitted.best_epoch + 1)
    shorter, _ = train(until, tmp_path / "short", metric=metric)
    assert weights(model, tmp_path / "a") == weights(shorter, tmp_path / "b")


def test_the_classes_of_the_validation_rows_say_how_much_a_metric_varies(tmp_path: Path) -> None:
    asked = []

    def noted(target: torch.Tensor, *, metric: Metric) -> float:
        asked.append((len(target), metric))
        return telling_rows(target, metric=metric)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "telling_rows", noted)
        train(SHORT, tmp_path, rows=37)
    assert asked == [(20, "accuracy")] * 2


def test_early_stopping_ends_when_nothing_improves(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=50, stop_after_epochs=3, optimizer=Adam(lr=0.05), schedule=Constant())
    _, fitted = train(config, tmp_path)
    assert len(fitted.history) == fitted.best_epoch + 4 < 50


@pytest.mark.parametrize("rows", [38, 47])
def test_accumulated_batches_are_one_large_batch(rows: int, tmp_path: Path) -> None:
    """Of 47 rows the last step has batches of 4, 4 and 3."""
    config = replace(SHORT, batch_size=12, optimizer=SGD(lr=0.1))
    small = replace(config, batch_size=4, accumulate=3)
    large, _ = train(config, tmp_path / "large", network=SURE, rows=rows)
    many, _ = train(small, tmp_path / "many", network=SURE, rows=rows)
    for a, b in zip(large.network.parameters(), many.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


KNOBS: dict[str, TrainConfig] = {
    "epochs": replace(SHORT, epochs=5),
    "batch_size": replace(SHORT, batch_size=16),
    "lr": replace(SHORT, optimizer=AdamW(lr=1e-2)),
    "weight_decay": replace(SHORT, optimizer=AdamW(weight_decay=0.5)),
    "momentum": replace(SHORT, optimizer=SGD(momentum=0.5)),
    "optimizer": replace(SHORT, optimizer=Adagrad()),
    "class_weights": replace(SHORT, loss=CrossEntropy(class_weights="balanced")),
    "label_smoothing": replace(SHORT, loss=CrossEntropy(label_smoothing=0.2)),
    "schedule": replace(SHORT, schedule=OneCycle()),
    "accumulate": replace(SHORT, accumulate=2),
    "clip_norm": replace(SHORT, clip_norm=0.01, optimizer=SGD()),
    "weight_average": replace(SHORT, weight_average=0.9),
    "precision": replace(SHORT, precision="bf16"),
}


@pytest.mark.parametrize("knob", KNOBS)
def test_no_knob_is_ignored(knob: str, tmp_path: Path) -> None:
    plain = replace(SHORT, optimizer=SGD()) if knob in ("momentum", "clip_norm") else SHORT
    changed, _ = train(KNOBS[knob], tmp_path / "changed")
    usual, _ = train(plain, tmp_path / "usual")
    assert weights(changed, tmp_path / "a") != weights(usual, tmp_path / "b")


@pytest.mark.parametrize("network", [MLP(width=8, depth=2, members=2), MLP(width=8, depth=2, members=1)])
def test_the_number_of_members_is_not_ignored(network: MLP, tmp_path: Path) -> None:
    changed, _ = train(SHORT, tmp_path / "changed", network=network)
    usual, _ = train(SHORT, tmp_path / "usual", network=MLP(width=8, depth=2))
    assert weights(changed, tmp_path / "a") != weights(usual, tmp_path / "b")


def test_each_member_is_judged_by_its_own_answers() -> None:
    output, target = torch.randn(4, 3, 2), torch.tensor([0, 1, 1, 0])
    each = [torch.nn.functional.cross_entropy(output[:, member], target) for member in range(3)]
    together = torch.nn.functional.cross_entropy(*one_by_one(output, target))
    torch.testing.assert_close(together, torch.stack(each).mean())
    assert one_by_one(output[:, 0], target)[0].equal(output[:, 0])


@pytest.mark.parametrize("change", [Augment(flip=True), Augment(crop_pixels=1), Augment(rotate_degrees=10)])
def test_images_are_augmented(change: Augment, tmp_path: Path) -> None:
    network = CNN(width=4, stages=2)
    changed, _ = train(replace(SHORT, augment=change), tmp_path / "changed", network=network)
    usual, _ = train(SHORT, tmp_path / "usual", network=network)
    assert weights(changed, tmp_path / "a") != weights(usual, tmp_path / "b")


@pytest.mark.parametrize("optimizer", [SGD(), Adam(), AdamW(), Adagrad(), Adafactor()])
def test_each_optimizer_lowers_the_loss(optimizer: SGD | Adam | AdamW | Adagrad | Adafactor, tmp_path: Path) -> None:
    _, fitted = train(replace(SHORT, epochs=10, optimizer=optimizer), tmp_path, network=SURE)
    assert fitted.history[-1]["train_loss"] < fitted.history[0]["train_loss"]
    assert set(OPTIMIZERS) == {"sgd", "adam", "adamw", "adagrad", "adafactor"}


@pytest.mark.parametrize(
    ("config", "theirs"),
    [
        (SGD(lr=0.1, momentum=0.8), partial(torch.optim.SGD, momentum=0.8, nesterov=True)),
        (SGD(lr=0.1, momentum=0.0), torch.optim.SGD),
        (Adam(lr=0.1, weight_decay=0.1), torch.optim.Adam),
        (AdamW(lr=0.1, weight_decay=0.1), torch.optim.AdamW),
        (Adagrad(lr=0.1, weight_decay=0.1), torch.optim.Adagrad),
        (Adafactor(lr=0.1, weight_decay=0.1), torch.optim.Adafactor),
    ],
)
def test_each_optimizer_is_torchs_and_decays_matrices_alone(
    config: Optimizer, theirs: Callable[..., torch.optim.Optimizer]
) -> None:
    ours, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(ours.state_dict())
    groups = [{"params": [other.weight], "weight_decay": config.weight_decay}, {"params": [other.bias]}]
    pairs = ((ours, optimizer(config, ours, fused=True)), (other, theirs(groups, lr=config.lr, weight_decay=0.0)))
    for network, made in pairs:
        for step in range(3):
            made.zero_grad()
            network(torch.full((4, 3), 1.0 + step)).square().sum().backward()
            made.step()
    torch.testing.assert_close(ours.weight, other.weight)
    torch.testing.assert_close(ours.bias, other.bias)


def test_a_gradient_is_clipped_to_the_norm_that_was_asked_for(tmp_path: Path) -> None:
    """Of plain SGD at a rate of 1 a step is the gradient itself."""
    config = replace(SHORT, epochs=1, batch_size=64, optimizer=SGD(lr=1.0, momentum=0.0, weight_decay=0.0))
    config, lengths = replace(config, schedule=Constant()), {}
    before = nn.utils.parameters_to_vector(build(spec(SURE), seed=0).network.parameters()).detach()
    for norm in (0.01, 0.03, None):
        model, _ = train(replace(config, clip_norm=norm), tmp_path / str(norm), network=SURE)
        lengths[norm] = (nn.utils.parameters_to_vector(model.network.parameters()).detach() - before).norm().item()
    assert lengths[0.01] == pytest.approx(0.01, rel=1e-3)
    assert lengths[0.03] == pytest.approx(0.03, rel=1e-3)
    assert lengths[None] > 0.04


def test_on_plateau_lowers_the_rate(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=12, optimizer=Adam(lr=0.1), schedule=OnPlateau(patience_epochs=0, factor=0.5))
    _, fitted = train(config, tmp_path)
    assert fitted.history[-1]["lr"] < 0.1
    assert fitted.history[0]["lr"] == 0.1


def test_regression_is_learned_in_the_units_of_the_target(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=60, optimizer=AdamW(lr=1e-2), loss=Huber())
    _, fitted = train(config, tmp_path, target=VALUE, network=SURE, rows=200)
    first, last = fitted.history[0]["validation_rmse"], fitted.history[fitted.best_epoch]["validation_rmse"]
    assert last < 0.7 * first


def test_a_trained_model_is_trained_further(tmp_path: Path) -> None:
    what = spec(SURE)
    model, _ = train(SHORT, tmp_path / "first", network=SURE)
    before = [p.detach().clone() for p in model.network.parameters()]
    rows, other = examples(what, rows=37, seed=1), examples(what, rows=20, seed=2)
    config = replace(SHORT, epochs=1, optimizer=AdamW(lr=1e-6))
    fit(model, config, rows, other, spec=what, metric="accuracy", seed=0, folder=tmp_path / "2", observer=Silent())
    for a, b in zip(before, model.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert any(not a.equal(b) for a, b in zip(before, model.network.parameters(), strict=True))


def test_a_loss_that_is_not_finite_is_refused_with_step_and_rate(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=30, optimizer=SGD(lr=1e6), schedule=Constant())
    with pytest.raises(Refusal, match=r"(?s)at step \d+ \(epoch \d+\), with lr 1e\+06.*lower train.optimizer.lr"):
        train(config, tmp_path, target=VALUE)


def test_half_precision_on_a_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="bf16"):
        train(replace(SHORT, precision="fp16", device="cpu"), tmp_path)


def test_a_device_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"device 'cuda:77'"):
        train(replace(SHORT, device="cuda:77"), tmp_path)


def test_a_validation_set_without_rows_is_refused(tmp_path: Path) -> None:
    of = spec(SURE)
    none = Examples(raw=raw(of.preparation, rows=0), target=np.zeros(0, dtype=np.int64))
    learned, model = examples(of, rows=9, seed=1), build(of, seed=0)
    with pytest.raises(Refusal, match="validation has no rows"):
        fit(model, SHORT, learned, none, spec=of, metric="accuracy", seed=0, folder=tmp_path, observer=Silent())


def test_augmenting_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="augment is for images"):
        train(replace(SHORT, augment=Augment(flip=True)), tmp_path)


@pytest.mark.parametrize(("rows", "size"), [(17, 16), (9, 4), (3, 64), (2, 1), (33, 8)])
def test_no_batch_has_a_single_row_and_every_row_comes_once(rows: int, size: int) -> None:
    parts = batches(rows, size)
    assert [row for first, last in parts for row in range(first, last)] == list(range(rows))
    assert size == 1 or all(last - first > 1 for first, last in parts)
    assert [part for step in steps_of_epoch(rows, size=size, accumulate=2) for part in step] == parts


def test_batch_normalisation_survives_a_remainder_of_one_row_and_a_batch_above_the_set(tmp_path: Path) -> None:
    train(SHORT, tmp_path / "remainder", network=CNN(width=4, stages=2), rows=17)
    train(replace(SHORT, batch_size=999), tmp_path / "large", network=CNN(width=4, stages=2), rows=17)


def test_a_single_row_is_refused() -> None:
    with pytest.raises(Refusal, match="at least 2"):
        batches(1, 8)


def test_the_order_is_a_permutation_that_seed_and_epoch_decide() -> None:
    first = order(50, seed=1, epoch=2)
    assert sorted(first.tolist()) == list(range(50))
    assert first.equal(order(50, seed=1, epoch=2))
    assert not first.equal(order(50, seed=1, epoch=3))
    assert not first.equal(order(50, seed=2, epoch=2))


def test_images_of_several_sizes_are_prepared_at_their_own_places() -> None:
    what = spec(SMALL["cnn"])
    image = what.preparation.image
    assert image is not None
    preparation = replace(what.preparation, image=replace(image, resize=True))
    model = build(replace(what, preparation=preparation), seed=0)
    rng = np.random.default_rng(0)
    wide, tall = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((2, 9, 12, 1), (3, 20, 7, 1)))
    groups = (Group(index=np.array([3, 0]), raw=(wide,)), Group(index=np.array([1, 4, 2]), raw=(tall,)))
    rows = Examples(raw=groups, target=np.arange(5) % 3)
    features = dataset(rows, model, preparation.target, device=torch.device("cpu"), channels_last=True).features[0]
    torch.testing.assert_close(features[[3, 0]], model.features(torch.from_numpy(wide))[0])
    torch.testing.assert_close(features[[1, 4, 2]], model.features(torch.from_numpy(tall))[0])


def test_a_batch_of_images_stays_channels_last() -> None:
    what = spec(CNN(width=4, stages=1))
    image = what.preparation.image
    assert image is not None
    preparation = replace(what.preparation, image=replace(image, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3))
    model = build(replace(what, preparation=preparation), seed=0)
    rows = Examples(raw=raw(preparation, rows=6), target=np.zeros(6, dtype=np.int64))
    ready = dataset(rows, model, preparation.target, device=torch.device("cpu"), channels_last=True)
    (images,), _ = ready.batch(torch.tensor([4, 1]))
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.equal(ready.features[0][[4, 1]])


def test_the_moving_average_moves_by_its_decay_and_copies_counts() -> None:
    average, network = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    network.running_mean = torch.tensor([10.0])
    network.num_batches_tracked = torch.tensor(7)
    average_(average, network, decay=0.9)
    assert average.running_mean is not None
    assert average.running_mean.item() == pytest.approx(1.0)
    assert average.num_batches_tracked is not None
    assert average.num_batches_tracked.item() == 7


@pytest.mark.parametrize(("longest", "decays"), [(0.99, (1 / 10, 2 / 11)), (0.05, (0.05, 0.05))])
def test_the_moving_average_soon_leaves_the_first_weights(
    longest: float, decays: tuple[float, float], tmp_path: Path
) -> None:
    """With one step an epoch. At the decay that was asked for it would have hardly moved from them."""
    config, made = replace(SHORT, batch_size=64, optimizer=SGD(), schedule=Constant()), []
    expected = nn.utils.parameters_to_vector(build(spec(SURE), seed=0).network.parameters()).detach()
    for epochs, average in ((1, 0.0), (2, 0.0), (2, longest)):
        model, fitted = train(
            replace(config, epochs=epochs, weight_average=average),
            tmp_path / f"{epochs} {average}",
            network=SURE,
            metric="log_loss",
        )
        assert fitted.best_epoch == epochs - 1
        made.append(nn.utils.parameters_to_vector(model.network.parameters()).detach())
    for then, decay in zip(made[:2], decays, strict=True):
        expected = decay * expected + (1 - decay) * then
    torch.testing.assert_close(made[2], expected)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_cuda_a_training_repeats_itself_and_comes_back_to_the_cpu(precision: str, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    config = TrainConfig(epochs=2, batch_size=8, device="cuda", precision=precision)  # type: ignore[arg-type]
    network = CNN(width=4, stages=2, dropout=0.2)
    first, fitted = train(config, tmp_path / "a", network=network)
    second, _ = train(config, tmp_path / "b", network=network)
    assert weights(first, tmp_path / "1") == weights(second, tmp_path / "2")
    assert fitted.device == "cuda"
    assert all(p.device.type == "cpu" for p in first.parameters())


def test_a_batch_of_one_row_that_leaves_nothing_to_normalise_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"train.batch_size: batch normalisation(.|\n)*allowed: 2 or more"):
        train(replace(SHORT, batch_size=1), tmp_path, network=CNN(width=4, stages=4), rows=5)


def failing(error: Exception) -> Callable[[object], Callable[..., object]]:
    """In place of `torch.compile`, which compiles when the network is first called."""

    def forward(*_features: object) -> object:
        raise error

    return lambda _network: forward


@pytest.mark.parametrize(
    "said",
    [
        "InvalidCxxCompiler: No working C++ compiler found in 'g++'",
        "CppCompileError: C++ compile error",
        "TritonMissing: Cannot find a working triton installation.",
    ],
)
def test_a_network_that_nothing_can_compile_is_refused(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", failing(TorchDynamoException(f"{said}\nand more")))
    with pytest.raises(Refusal, match=rf"train.compile: .*{re.escape(said)}\n.*install g\+\+"):
        train(replace(SHORT, compile=True), tmp_path, rows=5)


def test_what_else_fails_where_a_network_is_compiled_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", failing(RuntimeError("a bug behind the compiler")))
    with pytest.raises(RuntimeError, match="a bug behind"):
        train(replace(SHORT, compile=True), tmp_path, rows=5)


def test_weights_of_any_floating_type_have_a_fingerprint() -> None:
    rows = Dataset(features=(torch.zeros(3, 2),), target=torch.zeros(3))
    names = set()
    for kind in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        for first in (0.5, 0.25):
            network = torch.nn.Linear(1, 1, bias=False, dtype=kind)
            torch.nn.init.constant_(network.weight, first)
            names.add(fingerprint_of(network, SHORT, rows, rows, metric="rmse", seed=0))
    assert len(names) == 8
