"""What is said of a release is what its stages found."""

import hashlib
from dataclasses import replace

import pytest

from components.data.config import SplitConfig
from components.evaluation.interval import Interval
from components.figure import figure
from components.recipe import Recipe
from tasks.bundle import code_digest, links
from tasks.gate import Judged
from tasks.page import page
from tasks.register import _told
from tests.tasks.plain import AIM, DATA, SPLIT, Script, Stages, evidence_of

pytestmark = pytest.mark.xdist_group("plain script")  # what the stages make is made once


def test_copies_across_parts_are_counted_and_said(stages: Stages, judged: Judged) -> None:
    assert (stages.splits.copies, stages.splits.in_train) == (2, {"validation": 1, "test": 1})
    recipe = Recipe(model="m", task=AIM.task, data=DATA, split=SPLIT, network=AIM.network)
    said = evidence_of(stages, judged).cautions(recipe)
    assert any(one.startswith("1 of the 80 test rows is an exact copy of a train row, ") for one in said)
    assert not any("groups the rows" in one for one in said)


def test_what_the_uncompressed_model_and_the_recipe_tell_is_said_too(stages: Stages, judged: Judged) -> None:
    certain = {**stages.tested.uncompressed.figures, "log_loss": Interval(0.001, 0.0, 0.002)}
    tested = replace(stages.tested, uncompressed=replace(stages.tested.uncompressed, figures=certain))
    recipe = Recipe(model="m", task=AIM.task, data=DATA, split=SplitConfig(group="c"), network=AIM.network)
    said = replace(evidence_of(stages, judged), tested=tested).cautions(recipe)
    assert any(one.startswith("its probabilities are worse") for one in said)
    assert any(one.startswith("the column 'c' groups the rows and is an input") for one in said)
    ignored = replace(recipe, split=SplitConfig(group="t"))
    assert not any("groups the rows" in one for one in evidence_of(stages, judged).cautions(ignored))


def test_few_validation_rows_are_said_only_where_something_was_compressed(stages: Stages, judged: Judged) -> None:
    recipe = Recipe(model="m", task=AIM.task, data=DATA, split=SPLIT, network=AIM.network)
    found = evidence_of(stages, judged)
    few = replace(found, profiled=replace(found.profiled, rows=12))
    words = "one of the 12 validation rows by which compression is judged"
    assert [one.startswith(words) for one in few.cautions(recipe)].count(True) == 1
    alone = replace(few, exported=few.exported[:1])
    assert not any(words in one for one in alone.cautions(recipe))


def test_the_column_that_tells_nearly_all_alone_has_its_name_wherever_it_is_said(
    stages: Stages, judged: Judged
) -> None:
    recipe = Recipe(model="m", task=AIM.task, metric=AIM.metric, data=DATA, split=SPLIT, network=AIM.network)
    simple = {"constant": {AIM.metric: Interval(0.0, 0.0, 0.0)}, "one_column": stages.tested.selected.figures}
    ahead = {"constant": Interval(0.9, 0.8, 1.0)}
    tested = replace(stages.tested, baselines=simple, leads=ahead, column="refund")
    found = replace(evidence_of(stages, judged), tested=tested)
    assert found.cautions(recipe)[0].startswith("the column 'refund' alone has f1_macro ")
    assert [one.name for one in page(recipe, found, run="").baselines] == ["constant", "refund alone"]


def test_each_link_of_the_chain_is_about_what_the_release_was_made_of(
    stages: Stages, script: Script, judged: Judged
) -> None:
    recipe = Recipe(model="m", task=AIM.task, seed=7, data=DATA, split=replace(SPLIT, seed=5), network=AIM.network)
    chain = {link.name: link for link in links(recipe, evidence_of(stages, judged))}
    assert {name: dict(link.artifacts) for name, link in chain.items() if link.artifacts} == {
        "data": {"data": stages.splits.dataset.folder.digest},
        "split": {"assignments": stages.splits.assignments.digest},
        "checkpoint": {"checkpoint": stages.pruned.model.digest},
        "onnx": {"model.onnx": hashlib.sha256(script.file).hexdigest()},
    }
    assert chain["data"].facts == {"dvc_md5": "md5", "rows": 280}
    assert chain["split"].facts == {"train": 150, "validation": 50, "test": 80}
    assert chain["seeds"].facts == {"training": 7, "split": 5}
    assert chain["candidate"].facts == {"name": "int8", "runtime": "onnxruntime"}
    assert chain["gate"].facts["decision"] == judged.judgement.decision
    assert chain["code"].facts["sha256"] == code_digest(recipe)


def test_the_registry_is_told_the_figures_of_the_release_with_their_confidence(
    script: Script, stages: Stages, judged: Judged
) -> None:
    quality = stages.tested.selected.figures["f1_macro"]
    sentence, tags = _told(evidence_of(stages, judged), "f1_macro")
    assert sentence.startswith(f"int8 on onnxruntime: f1_macro {figure(quality.value)} (80 % interval ")
    assert "on 80 test rows" in sentence
    assert tags["steelyard.onnx_sha256"] == hashlib.sha256(script.file).hexdigest()
    assert tags["steelyard.gate"] == judged.judgement.decision
