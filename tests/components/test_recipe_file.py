import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.compression.config import Int8Dynamic, Int8Static, PruneChannels
from components.errors import Refusal
from components.models.config import CNN, MLP
from components.recipe import MODEL_NAME, Recipe
from components.recipe_file import public, read, to_yaml, without_secrets, write
from components.recipe_types import Absent, default, hints, members, sections
from components.training.config import SGD
from tests.components.recipes import GOOD, good, problems

# --- properties -------------------------------------------------------------------------------------------------


def values(
    kind: object, section: Callable[[type], st.SearchStrategy[object]] | None = None
) -> st.SearchStrategy[object]:
    """A strategy for the type of any field of a recipe, made from the type; its sections are valid, or as `section`."""
    if found := sections(kind):
        strategies = [(section or section_values)(one) for one in found]
        none = [st.none()] if type(None) in members(kind) else []
        return st.one_of(*none, *strategies)
    if len(members(kind)) > 1:
        return st.one_of(*(values(member) for member in members(kind)))
    inside = get_args(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(inside)
    if get_origin(kind) is dict:
        return st.dictionaries(TEXTS, values(inside[1]), max_size=3)
    if get_origin(kind) is tuple:
        many = inside[1:] == (...,)
        items = [values(of, section) for of in inside if of is not ...]
        return st.lists(items[0], max_size=3).map(tuple) if many else st.tuples(*items)
    return {int: NUMBERS, float: SHARES, bool: st.booleans(), str: TEXTS, type(None): st.none()}[kind]


NUMBERS = st.integers(-5, 10**7)
SHARES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.1, 1e-3, 1.0, 1e22, 5e-324])
AWKWARD = [
    "no",
    "null",
    "~",
    "1e-3",
    "010",
    "0x1",
    "1:30",
    "2024-01-01",
    "true",
    "",
    " a",
    "{x}",
    "a: b",
    "#",
    "=",
    "<<",
]
TEXTS = st.sampled_from(AWKWARD) | st.text(max_size=8)
NAMES = st.sampled_from(["no", "010", "1e-3", "null", "2024-01-01"]) | st.from_regex(MODEL_NAME, fullmatch=True)


@st.composite
def section_values(draw: st.DrawFn, kind: type) -> object:
    """Any valid value of a section: drawn fields are kept as long as the whole stays possible."""
    if kind is Recipe:
        built: dict[str, object] = {"model": draw(NAMES), "task": "classification", "data": good().data}
        built["network"] = draw(values(hints(Recipe)["network"]).filter(lambda n: n.family in ("mlp", "custom")))
    else:
        needed = {"path": "package.module:Net", "pool": "local"}
        built = {name: value for name, value in needed.items() if name in hints(kind)}
    for field in fields(kind):
        if not isinstance(default(field), Absent):
            tried = {**built, field.name: draw(values(hints(kind)[field.name]))}
            try:
                kind(**tried)
            except ValueError:
                continue
            built = tried
    return kind(**built)


RECIPES = section_values(Recipe)


@settings(max_examples=60)
@given(RECIPES, TEXTS.filter(str.strip), TEXTS)
def test_any_recipe_reads_back_as_it_was_written(recipe: Recipe, target: str, other: str) -> None:
    columns = {target: "category", other + "x" + target: "number"}
    recipe = replace(recipe, data=replace(recipe.data, target=target, columns=columns))
    assert good(to_yaml(recipe)) == recipe


@settings(max_examples=60)
@given(RECIPES, st.data())
def test_any_misspelt_key_is_refused_at_its_line(recipe: Recipe, data: st.DataObject) -> None:
    recipe = replace(recipe, model="m")
    lines = to_yaml(recipe).splitlines()
    keys = [n for n, line in enumerate(lines) if re.match(r"^ *(- )?[a-z_]+:", line) and not line.startswith("    ")]
    line = data.draw(st.sampled_from([n for n in keys if recipe.network.family != "custom" or n < 10]))
    lines[line] = lines[line].replace(":", "zq:", 1)
    found = problems("\n".join(lines))
    assert any("unknown key" in problem.what and f"r.yaml:{line + 1}:" in problem.where for problem in found)


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("ab:- \n\t[]{}&*!#'\"|>%@,.01")))
def test_no_text_makes_anything_but_a_recipe_or_a_refusal(text: str) -> None:
    problems(text)


# --- YAML's traps -----------------------------------------------------------------------------------------------


def test_the_type_of_the_field_decides_what_a_text_means() -> None:
    text = GOOD.replace("model: digits", "model: no").replace("width: number", "off: number\n    2024-01-01: number")
    recipe = good(text + "train: {optimizer: {lr: 1e-3}, clip_norm: 1, compile: off}\nprune:\n")
    assert recipe.model == "no"
    assert list(recipe.data.columns) == ["label", "off", "2024-01-01"]
    assert recipe.train.optimizer.lr == 0.001
    assert recipe.train.clip_norm == 1.0
    assert isinstance(recipe.train.clip_norm, float)
    assert recipe.train.compile is False
    assert recipe.prune == ()


def test_an_untagged_section_is_its_default_or_its_only_member() -> None:
    recipe = good(GOOD + "train: {optimizer: {lr: 1}}\nprune: [{ratio: 0.3}]\n")
    assert recipe.train.optimizer.name == "adamw"
    assert recipe.prune == (PruneChannels(ratio=0.3),)


# --- changes ----------------------------------------------------------------------------------------------------


def test_changes_reach_every_kind_of_field() -> None:
    recipe = good(
        GOOD,
        "train.epochs=3",
        "prune.0.ratio=0.25",
        "prune.1={ratio: 0.75}",
        "quantize=[{method: int8_dynamic}]",
        "quantize.1.method=int8_static",
        "train.optimizer.name=sgd",
        "network={family: cnn}",
        "data.columns.label=category",
        "network={family: mlp, width: 7}",
        "model='3'",
    )
    assert recipe.train.epochs == 3
    assert recipe.prune == (PruneChannels(ratio=0.25), PruneChannels(ratio=0.75))
    assert recipe.quantize == (Int8Dynamic(), Int8Static())
    assert recipe.train.optimizer == SGD()
    assert recipe.network == MLP(width=7)
    assert recipe.model == "3"


def test_a_column_with_a_dot_in_its_name_can_be_changed() -> None:
    text = GOOD.replace("width: number", "petal.width: number\n    w: number")
    assert good(text, "data.columns.petal.width=ignore").data.columns["petal.width"] == "ignore"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("trian.epochs=3", "did you mean 'train'?"),
        ("train.epochs=x", "a whole number"),
        ("train.epochs", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("train.epochs=[", "not YAML"),
        ("prune.3.ratio=0.5", "isn't an entry of the list"),
        ("model.name=x", "can't be set inside digits"),
        ("train.epochs=0", "1 to 1000000"),
        ("select.batch_size=7", "isn't among profile.batch_sizes"),
    ],
)
def test_a_wrong_change_is_named_as_it_was_given(change: str, says: str) -> None:
    text = GOOD + "prune: [{ratio: 0.5}]\n"
    (found,) = problems(text, change)
    assert found.where == f"--set {change}"
    assert says in str(found)


def test_mistakes_of_the_file_and_of_changes_come_together() -> None:
    found = problems(GOOD + "sed: 1\n", "train.epochs=0", "nonsense")
    assert {p.where for p in found} == {"r.yaml:11:1", "--set train.epochs=0", "--set nonsense"}


# --- files ------------------------------------------------------------------------------------------------------


def test_a_relative_source_is_relative_to_the_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD.replace("digits.csv", "../data/digits"))
    assert read(folder / "a.yaml").data.source == str(tmp_path / "data" / "digits")
    url = "s3://bucket/a.csv"
    assert read(folder / "a.yaml", changes=[f"data.source={url}"]).data.source == url


def test_a_written_recipe_reads_back(tmp_path: Path) -> None:
    recipe = replace(good(), network=CNN(), data=replace(good().data, columns={"label": "category", "i": "image"}))
    write(recipe, tmp_path / "a.yaml")
    assert read(tmp_path / "a.yaml") == recipe


def test_where_no_recipe_is_a_missing_one_is_told_how_to_come_by_one(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(Refusal) as refused:
        read(tmp_path / "nosuch.yaml")
    assert "dvc.yaml" not in str(refused.value)
    assert "`steelyard init DATA --target COLUMN` writes a starter" in str(refused.value)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(GOOD)
    with pytest.raises(Refusal, match=r"did you mean .*digits\.yaml"):
        read(tmp_path / "digit.yaml")
    with pytest.raises(Refusal) as refused:
        read(tmp_path / "nosuch.yaml")  # whose ending alone is like the other's
    assert "did you mean" not in str(refused.value)
    (tmp_path / "dvc.yaml").write_text("stages:\n  data:\n    cmd: make data\n    task: none\n")
    (tmp_path / "broken.yaml").write_text('task: what\n"data" :')
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(Refusal) as refused:
        read(tmp_path / "nosuch.yaml")
    assert str(refused.value).endswith("allowed: broken.yaml, digits.yaml")  # recipes alone
    with pytest.raises(Refusal, match="no such folder"):
        read(tmp_path / "none" / "digit.yaml")
    with pytest.raises(Refusal, match="can't be read"):
        read(tmp_path)


def test_bytes_that_are_not_text_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"model: a\ntask: \xe9\n")
    with pytest.raises(Refusal, match=r"a\.yaml:2: byte 0xe9 isn't UTF-8"):
        read(path)
    path.write_bytes(b"model: \x00")
    with pytest.raises(Refusal, match="not YAML"):
        read(path)
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(Refusal, match="larger"):
        read(path)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read(path).model == "digits"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/home/someone/rows.csv", "rows.csv"),
        ("file:///home/someone/rows.csv", "rows.csv"),
        ("https://me:secret@host.org:8/a/rows.csv?token=secret#x", "https://host.org:8/a/rows.csv"),
        ("https://host.org/rows.csv?to=me@host", "https://host.org/rows.csv"),
        ("s3://bucket/rows.csv", "s3://bucket/rows.csv"),
        ("https://me:sec'ret@host/rows.csv", "https://host/rows.csv"),
        ("https://me:sec@ret@host/rows.csv", "https://host/rows.csv"),
        ("s3://key:sec/ret@bucket/rows.csv", "s3://bucket/rows.csv"),
        ("https://me:sec?ret@host/rows.csv", "https://"),
        ("https://host/rows.csv?sig='a'&key=secret", "https://host/rows.csv"),
        ("https://host:8080/rows@v2/a.csv", "https://host:8080/rows@v2/a.csv"),
        ("https://[::1]:80/rows.csv", "https://[::1]:80/rows.csv"),
    ],
)
def test_a_public_recipe_says_neither_where_it_was_nor_who_asked(source: str, shown: str) -> None:
    recipe = replace(good(), data=replace(good().data, source=source))
    assert public(recipe) == replace(recipe, data=replace(recipe.data, source=shown))


def test_credentials_are_taken_out_of_the_urls_of_a_text_alone() -> None:
    text = "can't have https://me:secret@host/a?key=secret, nor 'ftp://me:o'k@host/b': why? ask a@b.org"
    said = "can't have https://host/a nor 'ftp://host/b': why? ask a@b.org"
    assert without_secrets(text) == said


def test_reading_a_recipe_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "prefect", "mlflow", "pydantic", "pandas")
    code = f"import sys, components.recipe_file; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
