"""A request to a worker says all that it needs: both find the same key, for every stage that can be sent away."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import pytest

from components.aim import Aim
from components.compression.config import PruneChannels
from components.data.config import DataConfig
from components.errors import Refusal
from components.home import Home
from components.planning.key import key_of
from components.recipe_file import read
from components.workers import Workers
from flows.retrain import retrain
from flows.running import find_source, yard_of
from tasks.perform import find
from tasks.prune import prune
from tasks.remote.request import _public, got, put, request_of, understood
from tasks.stage import Inputs, Stage, Yard
from tasks.tracking import runs
from tasks.tracking.sending import unsent
from tests.flows.place import Place

Asked = list[tuple[Stage[Any, Any], Inputs]]


class Recorded:
    """Goes through a flow that was run, and notes what each stage was given."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.asked: Asked = []

    def __call__(self, stage: Stage[Any, Any], *args: Any, **kwargs: Any) -> Any:
        inputs = stage.bind(*args, **kwargs)
        self.asked.append((stage, inputs))
        done = find(stage, inputs, self.yard)
        assert done is not None, stage.name
        return done.outputs

    def ask(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return question(self.yard, *args, **kwargs)

    def note(self, found: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """MLflow was told by the run."""


@pytest.fixture
def yard(first: Place) -> Yard:
    return yard_of(Home(first.home), "people")


@pytest.fixture
def asked(first: Place, yard: Yard) -> Asked:
    recipe = read(first.folder / "recipe.yaml")
    source = find_source(recipe, yard, bring=False)
    assert source is not None
    recorded = Recorded(yard)
    retrain(recipe, source, cast(Any, recorded))
    return recorded.asked


def test_every_stage_that_can_be_sent_away_is_understood_as_it_was_meant(
    asked: Asked, yard: Yard, tmp_path: Path
) -> None:
    sent = {stage.name: (stage, inputs) for stage, inputs in asked}
    settled, made = sent["train"][1], sent["evaluate"][1]  # this recipe doesn't prune
    given = {"aim": settled["aim"], "config": settled["config"], "trained": made["trained"], "splits": made["splits"]}
    sent["prune"] = (prune, prune.bind(PruneChannels(ratio=0.25), name="pruned-25", **cast(Any, given)))
    for name in (field.name for field in fields(Workers)):
        stage, inputs = sent[name]
        request = request_of(stage, inputs, model="people", run="r", force=False)
        again = got(put(request, yard.store, tmp_path), yard.store)
        assert again == request
        assert understood(again) == (stage, {name: _public(value) for name, value in inputs.items()})
        assert again.key == key_of(stage.parts(inputs))
    assert not list(tmp_path.iterdir())


def test_a_request_names_no_place_of_the_data_and_no_password(asked: Asked) -> None:
    inputs = next(inputs for stage, inputs in asked if stage.name == "split")
    data = replace(cast(DataConfig, inputs["data"]), source="https://bob:hunter22@example.org/a.csv?sig=hush")
    aim = replace(cast(Aim, next(inputs["aim"] for _, inputs in asked if "aim" in inputs)), data=data)
    for stage, given in asked:
        if stage.name in ("split", "train"):
            secret = {**given, **({"data": data} if "data" in given else {"aim": aim})}
            request = request_of(stage, secret, model="people", run="r", force=False)
            assert request.key == key_of(stage.parts(given))
            assert "hunter22" not in json.dumps(request.inputs)
            assert "hush" not in json.dumps(request.inputs)


def test_runs_that_ask_for_the_same_at_once_each_have_a_request_of_their_own(
    asked: Asked, yard: Yard, tmp_path: Path
) -> None:
    stage, inputs = next((stage, inputs) for stage, inputs in asked if stage.name == "train")

    def ask(run: str) -> set[str]:
        request = request_of(stage, inputs, model="people", run=run, force=False)
        return {got(put(request, yard.store, tmp_path), yard.store).run for _ in range(40)}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, ("one", "other"))) == [{"one"}, {"other"}]


def test_a_worker_with_another_store_is_refused(asked: Asked, yard: Yard, tmp_path: Path) -> None:
    stage, inputs = asked[2]
    artifact = put(request_of(stage, inputs, model="people", run="r", force=False), yard.store, tmp_path)
    with pytest.raises(Refusal, match="isn't in the store that it uses"):
        got(artifact, yard_of(Home(tmp_path / "another"), "people").store)


def test_a_worker_with_other_code_or_libraries_refuses_and_says_which(asked: Asked) -> None:
    stage, inputs = next(one for one in asked if one[0].name == "train")
    request = request_of(stage, inputs, model="people", run="r", force=False)
    other = replace(request, parts={**request.parts, "library torch": '"9.9"'})
    with pytest.raises(Refusal, match=r'library torch is .* on the worker, "9.9" in the run'):
        understood(other)
    changed = replace(request, inputs=json.loads(json.dumps(request.inputs).replace('"epochs": 3', '"epochs": 4')))
    with pytest.raises(Refusal, match=r"input config.epochs is 4 on the worker, 3 in the run"):
        understood(changed)


@pytest.mark.parametrize("name", ["os:system", "tasks.perform:perform"])
def test_only_stages_are_run_at_a_request(asked: Asked, name: str) -> None:
    stage, inputs = asked[0]
    request = replace(request_of(stage, inputs, model="people", run="r", force=False), stage=name)
    with pytest.raises(Refusal, match="is no stage"):
        understood(request)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", None])
def test_a_worker_does_its_stage_though_mlflow_is_gone_and_keeps_its_figures_to_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str | None
) -> None:
    """Its server, or the file in the home: that is damaged."""
    monkeypatch.setattr(runs, "LAST_FLUSH_SECONDS", 0.1)
    home = Home(tmp_path)
    home.mlflow_db.parent.mkdir(parents=True)
    home.mlflow_db.write_bytes(b"no database at all" * 1000)
    with runs.joined(home, "a run", uri=uri) as kept:
        kept.metrics({"train.loss": 1.0}, step=3)
    (left,) = unsent(home.runs, but=tmp_path)
    assert (left.run, [(name, value, step) for name, value, _, step in left.points]) == (
        "a run",
        [("train.loss", 1.0, 3)],
    )


LOADS = """
import sys
from pathlib import Path
from components.home import Home
from tasks.tracking.runs import joined

with joined(Home(Path(sys.argv[1])), "a run", uri=None) as kept:
    assert "mlflow" not in sys.modules
assert "mlflow" not in sys.modules
"""


def test_a_stage_without_figures_loads_no_mlflow(tmp_path: Path) -> None:
    """It takes seconds, of every stage on a worker."""
    subprocess.run([sys.executable, "-P", "-c", LOADS, str(tmp_path)], check=True)
