import json
from dataclasses import fields
from typing import Any

import pytest

from components.recipe import Recipe
from components.recipe_file import to_yaml
from components.recipe_schema import json_schema
from tests.components.recipes import GOOD, good, problems


def test_the_schema_knows_every_field_with_its_comment() -> None:
    schema: Any = json_schema()
    json.dumps(schema)
    train = schema["$defs"]["TrainConfig"]
    assert train["additionalProperties"] is False
    assert train["properties"]["clip_norm"] == {
        "anyOf": [{"type": "number"}, {"type": "null"}],
        "description": "largest L2 norm of the gradient",
        "default": None,
    }
    assert schema["$defs"]["DataConfig"]["properties"]["decimal"]["enum"] == [".", ","]
    assert train["properties"]["batch_size"]["maximum"] == -train["properties"]["batch_size"]["minimum"] == 2**63 - 1
    assert set(schema["$defs"]["Recipe"]["properties"]) == {f.name for f in fields(Recipe)}


def test_the_schema_accepts_what_the_reader_accepts() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    import yaml

    checker = jsonschema.Draft202012Validator(json_schema())
    assert not list(checker.iter_errors(yaml.safe_load(to_yaml(good()))))
    for added in (
        "train: {optimizer: {lr: 0.001}, schedule: {final_share: 0.1}, distributed:}",
        "train: {optimizer: {name: sgd, momentum: 0.5}, loss: {name: bce}}",
        "train:\nprune:\nsplit:",
        "prune: [{ratio: 0.5}]\nquantize: [{method: int8_static}]",
        "split: {method: time, time_column: width, validation_from: 3, test_from: 20}",
    ):
        good(GOOD + added)
        assert not list(checker.iter_errors(yaml.safe_load(GOOD + added))), added
    for added in (
        "  widht: 3",
        "train: {optimizer: {momentum: 0.5}}",
        "train: {optimizer: {name: adam, momentum: 0.5}}",
        "train: {loss: {label_smoothing: 0.1}}",
        "quantize: [{calibration: minmax}]",
        "profile: {runtimes: [onxruntime]}",
        "data:",
        "train: {threads: 999999999999999999999}",
    ):
        assert problems(GOOD + added)
        assert list(checker.iter_errors(yaml.safe_load(GOOD + added))), added
