from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from components.data.preparing.preparation import CategoryColumn, NumberColumn, Preparation, Target
from components.models.config import MLP
from components.models.linear_path import LinearPath
from components.models.model import Model, ModelSpec, TableNetwork, build
from components.training.config import MAE, TrainConfig
from components.training.examples import Examples, dataset
from components.training.linear_start import PENALTIES, descend_, start_linear_
from components.training.losses import criterion
from tests.components.training.cases import train, weights

CONFIG = TrainConfig(threads=1)
CODES = 5
NUMBERS = tuple(NumberColumn(name=name, fill=0.0, center=0.0, scale=1.0) for name in "abcd")
COLOUR = CategoryColumn(name="colour", values=("r", "g", "b"))
THREE = Target(name="y", classes=("p", "q", "r"))
Floats = npt.NDArray[np.float64]


def table(target: Target, *, network: MLP | None = None, seed: int = 0) -> Model:
    preparation = Preparation(target=target, numbers=NUMBERS, categories=(COLOUR,))
    task = "classification" if target.classes else "regression"
    return build(ModelSpec(task=task, network=network or MLP(width=8, depth=1), preparation=preparation), seed=seed)  # type: ignore[arg-type]


def given(target: Target, rows: int, *, noise: float = 1.0) -> tuple[Examples, Floats]:
    """Rows whose target is linear but for the noise, and what a linear model of scikit-learn's is given."""
    rng = np.random.default_rng(rows)
    numbers, codes = rng.normal(size=(rows, 4)), rng.integers(2, CODES, (rows, 1))
    columns = np.hstack([numbers, np.eye(CODES)[codes[:, 0]]])
    score = columns @ np.arange(4 + CODES) / 4 + rng.normal(size=rows) * noise
    labels = np.digitize(score, [1.0, 2.0]) if target.classes else score
    return Examples(raw=(numbers, codes), target=labels), columns


def path_of(model: Model) -> LinearPath:
    network = model.network
    assert isinstance(network, TableNetwork)
    assert network.linear is not None
    return network.linear


@pytest.mark.parametrize("target", [THREE, Target(name="y")])
def test_a_penalised_fit_is_that_of_scikit_learn(target: Target) -> None:
    model, (examples, columns) = table(target), given(target, 200)
    rows = dataset(examples, model, target, device=torch.device("cpu"), channels_last=False)
    found = [parameter.double().requires_grad_() for parameter in path_of(model).parameters()]
    loss = criterion(None, target=rows.target, classes=len(target.classes))
    for _ in range(5):
        descend_(found, rows, loss, penalty=2.0)
    if target.classes:
        theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(columns, examples.target)
        expected = np.hstack([theirs.coef_[:, :4], theirs.coef_[:, 4:]])
    else:
        expected = Ridge(alpha=1.0).fit(columns, examples.target).coef_[None]
    ours = torch.cat([found[0], found[2].T], dim=1).detach().numpy()
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_before_any_step_the_network_is_a_linear_model(tmp_path: Path) -> None:
    target = Target(name="y", center=1.0, scale=2.0)
    model, (learned, _), (judged, _) = table(target), given(target, 300, noise=0.01), given(target, 100, noise=0.01)
    start_linear_(model, CONFIG, learned, seed=0, file=tmp_path / "1")
    answers = model.eval()(*map(torch.from_numpy, judged.raw)).detach().numpy()[:, 0]  # type: ignore[arg-type]
    assert np.sqrt(np.mean((answers - judged.target) ** 2)) < 0.05 < np.std(judged.target)


def test_a_target_that_is_noise_is_hardly_fitted(tmp_path: Path) -> None:
    """Judged on the rows that it was fitted on, the least penalty would win."""
    model, (learned, _) = table(THREE), given(THREE, 400)
    noise = Examples(raw=learned.raw, target=np.random.default_rng(1).integers(0, 3, 400))
    start_linear_(model, CONFIG, noise, seed=0, file=tmp_path / "2")
    loose, rows = table(THREE), dataset(noise, model, THREE, device=torch.device("cpu"), channels_last=False)
    weights = [parameter.double().requires_grad_() for parameter in path_of(loose).parameters()]
    descend_(weights, rows, criterion(None, target=rows.target, classes=3), penalty=PENALTIES[-1])
    plain = table(THREE)
    start_linear_(plain, CONFIG, learned, seed=0, file=tmp_path / "3")
    largest = path_of(model).weight.abs().max()
    assert largest < weights[0].abs().max() / 2
    assert largest < path_of(plain).weight.abs().max() / 3


def test_the_start_is_by_the_loss_of_the_training(tmp_path: Path) -> None:
    """Of a row that is far off, absolute errors make less than squares do."""
    target, (learned, _) = Target(name="y"), given(Target(name="y"), 300)
    far = Examples(raw=learned.raw, target=np.where(np.arange(300) % 20 == 0, 100.0, learned.target))
    offsets = []
    for loss, name in ((None, "squares"), (MAE(), "absolute")):
        model = table(target)
        start_linear_(model, replace(CONFIG, loss=loss), far, seed=0, file=tmp_path / name)
        offsets.append(path_of(model).bias.item())
    assert offsets[1] < offsets[0] - 2


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_very_few_rows_are_enough_to_start_with(rows: int, tmp_path: Path) -> None:
    model, (learned, _) = table(Target(name="y")), given(Target(name="y"), rows)
    start_linear_(model, CONFIG, learned, seed=0, file=tmp_path / "4")
    assert all(torch.isfinite(parameter).all() for parameter in path_of(model).parameters())


def test_a_start_is_the_same_each_time_and_is_fitted_once_for_a_training(tmp_path: Path) -> None:
    (learned, _), (other, _), found = given(THREE, 100), given(THREE, 50), []
    for rows, file in ((learned, "once"), (learned, "again"), (other, "once")):
        model = table(THREE)
        start_linear_(model, CONFIG, rows, seed=3, file=tmp_path / file)
        found.append(path_of(model).weight.clone())
    assert found[0].equal(found[1])
    assert found[0].equal(found[2])  # taken from the file: a killed training doesn't wait for the fit again


def test_without_a_linear_path_nothing_is_changed(tmp_path: Path) -> None:
    model = table(THREE, network=MLP(width=8, depth=1, linear=False))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert not any("linear.weight" in name and "body" not in name for name in before)
    start_linear_(model, CONFIG, given(THREE, 50)[0], seed=0, file=tmp_path / "6")
    assert all(before[name].equal(tensor) for name, tensor in model.state_dict().items())


def test_training_leaves_the_linear_path_as_it_was_fitted(tmp_path: Path) -> None:
    model, _ = train(CONFIG, tmp_path, network=MLP(width=8, depth=1))
    network = model.network
    assert isinstance(network, TableNetwork)
    assert network.linear is not None
    assert not any(parameter.any() for parameter in network.linear.parameters())
    assert weights(model, tmp_path / "1")
