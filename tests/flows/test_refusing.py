"""What `run` and `plan` refuse: most of it before any server starts."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dvc.repo import Repo

from components.errors import Refusal
from components.recipe_file import read
from components.training.device import device_of
from flows import running
from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nothing.yaml"), ("nothing.yaml", "no such file")),
        (("run", "recipe.yaml", "--set", "train.epoch=3"), ("train.epoch", "did you mean 'epochs'?")),
        (("run", "recipe.yaml", "--set", "train.epochs=many"), ("many",)),
        (("run", "recipe.yaml", "--until", "trian"), ("trian", "did you mean 'train'?")),
        (("run", "recipe.yaml", "--until", "split", "--strict"), ("--strict", "--until split")),
        (("init", "people.csv", "--target", "label", "--model", "a b/c", "--output", "x.yaml"), ("--model", "a b/c")),
        (("plan", "recipe.yaml", "--force", "everything"), ("everything", "ingest")),
        (("plan", "people.csv"), ("people.csv",)),
    ],
)
def test_bad_input_is_refused_with_what_to_do(first: Place, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert first.call(*arguments).refused(*words)


@pytest.mark.parametrize(
    ("metric", "last", "words"),
    [
        ("roc_auc", 80, ("roc_auc isn't defined on test", "all rows there are of one class", "another metric")),
        ("r2", 60, ("r2 isn't defined on 20 rows", "the same target", "another metric")),
        ("r2", 80, ("r2 isn't defined on 20 rows", "the same target", "another metric")),
    ],
)
def test_a_metric_that_a_part_of_the_rows_does_not_define_is_refused(
    place: Place, tmp_path: Path, metric: str, last: int, words: tuple[str, ...]
) -> None:
    """Rows up to the last one have two values of the target; validation begins at 60, test at 80."""
    lines = [f"{day},{day * 7 % 13},{day % 2 if day < last else 1}" for day in range(100)]
    (tmp_path / "days.csv").write_text("\n".join(["day,a,y", *lines]) + "\n", "utf-8")
    task, kind = ("classification", "category") if metric == "roc_auc" else ("regression", "number")
    (tmp_path / "days.yaml").write_text(
        f"model: days\ntask: {task}\nmetric: {metric}\n"
        f"data: {{source: days.csv, target: y, columns: {{day: number, a: number, y: {kind}}}}}\n"
        "split: {method: time, time_column: day, validation_from: '60', test_from: '80'}\n"
        "network: {family: mlp, width: 8, depth: 1}\ntrain: {epochs: 1, batch_size: 32}\n"
        "evaluate: {resamples: 100, baselines: false}\nprofile: {rounds: 10}\n",
        "utf-8",
    )
    told = replace(place, folder=tmp_path).call("run", "days.yaml", code=2).err
    assert "Traceback" not in told
    assert all(word in told for word in ("refused: ", *words)), told


def test_a_recipe_with_three_mistakes_names_all_three(first: Place, tmp_path: Path) -> None:
    text = (first.folder / "recipe.yaml").read_text("utf-8")
    bad = (
        text.replace("epochs: 3", "epochs: -3").replace("family: mlp", "family: mpl").replace("rounds: 10", "round: 10")
    )
    (tmp_path / "bad.yaml").write_text(bad, "utf-8")
    told = first.call("run", str(tmp_path / "bad.yaml"))
    assert told.refused("epochs", "mpl", "round")
    assert told.err.count("bad.yaml:") == 3


def test_a_wrong_option_is_an_error_of_use_with_code_2(first: Place) -> None:
    assert first.call("show", "people", "--version", "two").code == 2
    assert first.call("predict").code == 2
    assert first.call("serve", "people", "--port", "70000").code == 2


def test_data_that_is_gone_can_be_had_back_as_the_model_took_it_in(both: Place, tmp_path: Path) -> None:
    (row,) = both.call("data", "list", "--json").json
    gone = ("--set", f"data.source={tmp_path / 'people.csv'}")
    told = both.call("run", "recipe.yaml", *gone)
    back = f"`steelyard data restore {row['sha256'][:12]}` brings back 200 rows of a file of that name"
    assert told.refused("no file or folder", "mend the path", back)
    others = both.call("plan", "recipe.yaml", *gone, "--set", "model=others")
    assert others.refused("no file or folder")
    assert "restore" not in others.err


@pytest.mark.parametrize("command", ["run", "plan"])
def test_data_that_is_not_there_is_refused(first: Place, tmp_path: Path, command: str) -> None:
    told = first.call(command, "recipe.yaml", "--set", "data.source=missing.csv")
    assert told.refused("missing.csv", "data.source", "mend the path. A relative one is relative to the recipe")
    for name in ("people.csv", "poeple.yaml"):  # as recipes are called, often: the more similar one is no data
        (tmp_path / name).touch()
    told = first.call(command, "recipe.yaml", "--set", f"data.source={tmp_path / 'poeple.csv'}")
    assert told.refused("did you mean 'people.csv'? A relative one is relative to the recipe")


def test_a_plan_of_data_that_dvc_may_bring_is_made_without_it(first: Place, tmp_path: Path) -> None:
    with Repo.init(str(tmp_path), no_scm=True):
        (tmp_path / "tracked.csv.dvc").write_text(f"outs:\n- md5: {'ab' * 16}\n  hash: md5\n  path: tracked.csv\n")
    told = first.call("plan", "recipe.yaml", "--set", f"data.source={tmp_path / 'tracked.csv'}", "--json")
    assert {line["stage"]: line["state"] for line in told.json}["ingest"] == "wait"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_wrong_column_is_refused_before_any_server_starts(first: Place, tmp_path: Path, command: str) -> None:
    text = (first.folder / "people.csv").read_text("utf-8")
    (tmp_path / "other.csv").write_text(text.replace("income", "incomes", 1), "utf-8")
    place = Place(folder=first.folder, home=tmp_path / "home")
    told = place.call(command, "recipe.yaml", "--set", f"data.source={tmp_path / 'other.csv'}")
    assert told.refused("the column 'income' is missing", "did you mean 'incomes'?")
    assert not (place.home / "prefect").exists()
    assert not (place.home / "mlflow").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_bad_cell_of_a_small_table_is_refused_before_any_server_starts(
    first: Place, tmp_path: Path, command: str
) -> None:
    lines = list(csv.reader((first.folder / "people.csv").read_text("utf-8").splitlines()))
    lines[40][lines[0].index("income")] = "plenty"
    with (tmp_path / "other.csv").open("w", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    place = Place(folder=first.folder, home=tmp_path / "home")
    told = place.call(command, "recipe.yaml", "--set", f"data.source={tmp_path / 'other.csv'}")
    assert told.refused("other.csv, row 40 (line 41), column 'income'", "'plenty'")
    assert not (place.home / "prefect").exists()
    assert not (place.home / "mlflow").exists()


WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")


@WITHOUT_CUDA
@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("change", ["device=cuda", "precision=fp16", "distributed={name: ddp}, device: cuda"])
def test_what_cannot_be_trained_here_is_refused_as_training_would_before_any_server_starts(
    first: Place, tmp_path: Path, command: str, change: str
) -> None:
    place = Place(folder=first.folder, home=tmp_path / "home")
    text = (first.folder / "recipe.yaml").read_text("utf-8")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace("train: {", f"train: {{{change.replace('=', ': ', 1)}, "), "utf-8")
    told = place.call(command, str(recipe), "--set", f"data.source={first.folder / 'people.csv'}")
    with pytest.raises(Refusal) as refusal:
        device_of(read(recipe).train)
    assert told.refused(str(refusal.value))
    assert not (place.home / "prefect").exists()
    assert not (place.home / "mlflow").exists()
    assert not (place.home / "store").exists(), "no data was taken in"


@WITHOUT_CUDA
def test_what_cannot_be_trained_here_is_no_matter_where_nothing_is_trained_here(
    first: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ("--set", "train.device=cuda", "--set", "seed=4")
    assert first.call("plan", "recipe.yaml", *changes).refused("device 'cuda'")
    assert first.call("run", "recipe.yaml", *changes, "--until", "split").code == 0, "train isn't asked for"
    on_worker = (*changes, "--set", "workers.train.pool=big")
    assert first.call("plan", "recipe.yaml", *on_worker).refused("device 'cuda'"), "nobody else is there"
    monkeypatch.setattr(running, "starts_a_server", lambda _home: False)
    assert first.call("plan", "recipe.yaml", *changes).refused("device 'cuda'")
    assert first.call("plan", "recipe.yaml", *on_worker).code == 0, "it is the worker's to say"
    pruned = (*on_worker, "--set", "prune=[{method: channels}]")
    assert first.call("plan", "recipe.yaml", *pruned).refused("device 'cuda'"), "its second training is done here"


def test_a_network_that_no_machine_has_the_memory_for_is_refused_before_it_is_built(place: Place) -> None:
    told = place.call("run", "recipe.yaml", "--set", "network.width=1000000", "--set", "network.depth=2", code=2).err
    assert "Traceback" not in told
    for words in ("refused: network: 1,0", " parameters, which take ", "network.width or network.depth"):
        assert words in told


def test_a_network_of_more_weights_than_can_be_counted_is_refused(place: Place) -> None:
    told = place.call(
        "run", "recipe.yaml", "--set", "network.width=10000000000", "--set", "network.depth=2", code=2
    ).err
    assert "Traceback" not in told
    assert "refused: network: a network of more weights than can be counted" in told


def test_gpus_that_are_neither_here_nor_on_a_worker_are_refused(first: Place) -> None:
    wish = ("recipe.yaml", "--set", "workers.train.pool=big", "--set", "workers.train.gpus=99")
    for command in ("run", "plan"):
        assert first.call(command, *wish, "--set", "seed=4").refused(
            "workers.train: 99 GPUs are asked for", "no servers with workers"
        )
    assert first.call("run", *wish, "--set", "seed=4", "--until", "split").code == 0, "train isn't asked for"
