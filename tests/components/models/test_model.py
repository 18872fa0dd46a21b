import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from components.compression.config import PruneChannels
from components.compression.pruning import prune_channels
from components.data.preparing.preparation import CategoryColumn, NumberColumn, Preparation, Target
from components.errors import Refusal
from components.models.config import CNN, MLP, Network, ResNet
from components.models.families import FAMILIES
from components.models.model import (
    ModelSpec,
    TableNetwork,
    build,
    embedding_width,
    example,
    feature_shape,
    load,
    save,
    soft_clip,
)
from tests.components.models.cases import IMAGE, SMALL, TABLE, VALUE, spec, tensors


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_classifier_gives_probabilities_for_each_row(family: str, rows: int) -> None:
    what = spec(SMALL[family])
    answers = build(what, seed=0).eval()(*tensors(what.preparation, rows=rows))
    assert answers.shape == (rows, 3)
    torch.testing.assert_close(answers.sum(dim=1), torch.ones(rows))


def test_a_regression_answers_in_the_units_of_the_target() -> None:
    what = spec(MLP(width=4, depth=1), target=VALUE)
    model = build(what, seed=0).eval()
    raw = tensors(what.preparation, rows=5)
    output = model.network(*model.features(*raw))
    torch.testing.assert_close(model(*raw), output.double() * 20 + 100)


@pytest.mark.parametrize("family", SMALL)
def test_the_seed_alone_decides_the_first_weights(family: str) -> None:
    what = spec(SMALL[family])
    torch.manual_seed(1)
    first = build(what, seed=3).state_dict()
    torch.manual_seed(2)
    second, other = build(what, seed=3).state_dict(), build(what, seed=4).state_dict()
    assert all(first[name].equal(second[name]) for name in first)
    assert any(not first[name].equal(other[name]) for name in first)


def test_building_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    build(spec(SMALL["mlp"]), seed=0)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("family", SMALL)
def test_a_saved_model_is_loaded_with_the_same_answers(family: str, tmp_path: Path) -> None:
    what = spec(SMALL[family])
    model = build(what, seed=0).eval()
    loaded = load(save(model, what, tmp_path))
    raw = tensors(what.preparation, rows=4)
    assert loaded.spec == what
    assert loaded.model(*raw).equal(model(*raw))
    assert not loaded.model.training


def test_equal_models_are_saved_as_equal_bytes(tmp_path: Path) -> None:
    what = spec(SMALL["cnn"])
    for name in ("a", "b"):
        save(build(what, seed=0), what, tmp_path / name)
    for file in ("model.json", "weights.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["model.json", "weights.safetensors"]


@pytest.mark.filterwarnings("ignore:Unwrapped parameters")
@pytest.mark.parametrize("network", [MLP(width=64), CNN(width=4, stages=2), ResNet(width=4, blocks=(1, 1))])
def test_a_pruned_model_keeps_its_output_shape_and_is_loaded_as_it_is(network: Network, tmp_path: Path) -> None:
    what = spec(network)
    model = build(what, seed=0).eval()
    raw = tensors(what.preparation, rows=4)
    pruned = prune_channels(model, PruneChannels(ratio=0.5), example=raw)
    answers = pruned.model(*raw)
    assert answers.shape == (4, 3)
    assert pruned.parameters_after < 0.7 * pruned.parameters_before
    assert load(save(pruned.model, what, tmp_path)).model(*raw).equal(answers)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    what, other = spec(SMALL["resnet"]), spec(ResNet(width=4, blocks=(1, 2)))
    save(build(other, seed=0), other, tmp_path)
    save(build(what, seed=0), what, tmp_path / "right")
    (tmp_path / "model.json").write_bytes((tmp_path / "right" / "model.json").read_bytes())
    with pytest.raises(Refusal, match="weights of another network"):
        load(tmp_path)


def test_damaged_files_are_refused_with_their_path(tmp_path: Path) -> None:
    what = spec(SMALL["mlp"])
    save(build(what, seed=0), what, tmp_path)
    content = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(content[:100])
    with pytest.raises(Refusal, match=r"weights\.safetensors"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"task": "guess"}))
    with pytest.raises(Refusal, match=r"model\.json"):
        load(tmp_path)
    with pytest.raises(Refusal, match=r"model\.json"):
        load(tmp_path / "nowhere")


def test_an_example_is_accepted_by_the_model() -> None:
    for family, preparation in (("mlp", TABLE), ("cnn", IMAGE)):
        assert build(spec(SMALL[family]), seed=0).eval()(*example(preparation, rows=3)).shape == (3, 3)


def test_the_shape_of_features_counts_flags_and_embeddings() -> None:
    model = build(spec(SMALL["mlp"]), seed=0)
    assert isinstance(model.network, TableNetwork)
    numbers, _ = model.features(*tensors(TABLE, rows=2))
    widths = sum(weight.shape[1] for weight in model.network.embeddings.parameters())
    assert feature_shape(TABLE) == (numbers.shape[1] + widths,)
    assert feature_shape(IMAGE) == (1, 8, 8)


@pytest.mark.parametrize(("values", "width"), [(1, 3), (3, 4), (8, 6), (1000, 50)])
def test_an_embedding_is_about_as_wide_as_the_root_of_its_codes(values: int, width: int) -> None:
    assert embedding_width(CategoryColumn(name="c", values=tuple(map(str, range(values))))) == width


def test_what_no_train_row_had_begins_amid_all_others() -> None:
    embedding = build(spec(MLP()), seed=3).network.embeddings[0]
    unknown, missing, *known = embedding.weight
    assert not unknown.any()
    assert not missing.any()
    assert all(one.all() for one in known)


@pytest.mark.parametrize("network", [CNN(width=4, stages=3), ResNet(width=4, blocks=(1, 2, 1))])
def test_images_are_halved_and_channels_doubled_between_stages(network: CNN | ResNet) -> None:
    layers = FAMILIES[network.family](network, shape=(1, 16, 16), outputs=2).eval()
    pooled = next(place for place, layer in enumerate(layers) if isinstance(layer, nn.AdaptiveAvgPool2d))
    assert layers[:pooled](torch.zeros(1, 1, 16, 16)).shape == (1, 16, 4, 4)


@pytest.mark.parametrize("network", [MLP(width=16, depth=1), MLP(width=16, depth=3, members=1), CNN(width=8, stages=1)])
def test_dropout_is_as_much_as_was_asked_for(network: MLP | CNN) -> None:
    what = spec(network)
    for share in (0.0, 0.5):
        model = build(replace(what, network=replace(network, dropout=share)), seed=0)
        for parameter in model.network.parameters():
            parameter.data += 0.1  # some begin at zero
        features = model.features(*tensors(what.preparation, rows=4))
        first, second = (model.network.train()(*features) for _ in range(2))
        assert torch.equal(first, second) == (share == 0)


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match="mlp, cnn, resnet, custom"):
        FAMILIES["mpl"]


@pytest.mark.parametrize("family", SMALL)
def test_each_family_exports_with_a_dynamic_batch(family: str, tmp_path: Path) -> None:
    import onnxruntime

    what = spec(SMALL[family])
    model = build(what, seed=0).eval()
    raw = tensors(what.preparation, rows=3)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        model,
        raw,
        dynamo=True,
        opset_version=20,
        dynamic_shapes=((*({0: batch} for _ in raw),),),
        external_data=False,
        verbose=False,
    )
    assert program is not None
    program.save(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for rows in (1, 5):
        raw = tensors(what.preparation, rows=rows, seed=rows)
        feeds = {put.name: part.numpy() for put, part in zip(session.get_inputs(), raw, strict=True)}
        (answers,) = session.run(None, feeds)
        torch.testing.assert_close(torch.from_numpy(answers), model(*raw), atol=1e-5, rtol=1e-5)


def test_a_folder_that_can_not_be_written_is_refused_and_the_old_model_kept(tmp_path: Path) -> None:
    what = spec(SMALL["mlp"])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refusal, match="can't write"):
        save(build(what, seed=0), what, tmp_path / "file" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_outliers_are_bounded_and_common_values_hardly_changed() -> None:
    common = torch.linspace(-0.5, 0.5, 11)
    torch.testing.assert_close(soft_clip(common), common, atol=0.01, rtol=0.02)
    assert soft_clip(torch.tensor([1e6, -1e6])).tolist() == pytest.approx([3.0, -3.0])


def test_a_new_perceptron_says_nothing_yet() -> None:
    what = spec(SMALL["mlp"])
    model = build(what, seed=0).eval()
    torch.testing.assert_close(model(*tensors(what.preparation, rows=3)), torch.full((3, 3), 1 / 3))


def test_members_answer_one_by_one_in_training_and_then_with_their_mean() -> None:
    what = spec(MLP(width=8, depth=2, dropout=0.0, members=3))
    model = build(what, seed=0)
    for parameter in model.network.parameters():
        parameter.data.normal_()
    features = model.features(*tensors(what.preparation, rows=5))
    each, together = model.network.train()(*features), model.network.eval()(*features)
    assert (each.shape, together.shape) == ((5, 3, 3), (5, 3))
    torch.testing.assert_close(each.mean(dim=1), together)
    assert (each[:, 0] - each[:, 1]).abs().min() > 1e-3


def test_numbers_that_are_not_standardised_reach_the_network_as_they_are() -> None:
    columns = (NumberColumn(name="pay", fill=0.0, center=0.0, scale=1.0, span=(1.0, 2.0)),)
    pay = torch.tensor([[20_000.0], [90_000.0]], dtype=torch.float64), torch.zeros(2, 0, dtype=torch.int64)
    for standard in (True, False):
        preparation = Preparation(target=Target(name="y"), numbers=columns, standard=standard)
        model = build(ModelSpec(task="regression", network=MLP(width=8), preparation=preparation), seed=0)
        assert isinstance(model.network, TableNetwork)
        seen: list[torch.Tensor] = []
        model.network.body.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        model.network(*model.features(*pay))
        assert seen[0].flatten().tolist() == (pytest.approx([3 / 2**0.5] * 2) if standard else [20_000.0, 90_000.0])
