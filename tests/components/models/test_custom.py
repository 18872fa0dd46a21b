import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from components.errors import Refusal
from components.models.config import Custom
from components.models.model import build, check_whole, load, save
from tests.components.models.cases import TABLE, spec, tensors

SOURCE = """
import torch
from torch import nn

class Good(nn.Module):
    def __init__(self, shape, outputs, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(shape[0], width), nn.ReLU(), nn.Linear(width, outputs))
    def forward(self, x):
        return self.layers(x)

def Lazy(shape, outputs):
    return nn.Sequential(nn.LazyLinear(16), nn.Linear(16, outputs))

def wide(shape, outputs):
    return nn.Linear(shape[0], outputs + 1)

def raising(shape, outputs):
    raise RuntimeError("no such thing")

def number(shape, outputs):
    return 3

def weightless(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(outputs))

class Forgets(nn.Linear):
    def __init__(self, shape, outputs):
        super().__init__(shape[0] + 1, outputs)

class Pair(Good):
    def forward(self, x):
        return self.layers(x), x

class TwoWays(Good):
    def forward(self, x):
        return (self.layers(x), x) if self.training else self.layers(x)

class FailsInTraining(Good):
    def forward(self, x):
        return {}["loss"] if self.training else self.layers(x)

class Cut(Good):
    def forward(self, x):
        return self.layers(x).detach()

class Normed(Good):
    def __init__(self, shape, outputs):
        super().__init__(shape, outputs)
        self.norm = nn.BatchNorm1d(outputs)
    def forward(self, x):
        return self.norm(self.layers(x) + 1)

class Picky(Good):
    def forward(self, x):
        if len(x) == 5:
            raise ValueError("five")
        return self.layers(x)

class OfTwo(Good):
    def forward(self, x):
        return self.layers(x).reshape(2, -1)

class OfTwoInTraining(Good):
    def forward(self, x):
        y = self.layers(x)
        return y.reshape(2, -1)[:, :3] if self.training else y

class Cropped(Good):
    def forward(self, x):
        return self.layers(x)[:4]

class Throws(Good):
    def forward(self, x):
        return self.layers(nn.functional.dropout(x, 0.5))

class Counts(Good):
    def forward(self, x):
        self.steps = getattr(self, "steps", 0) + self.training
        return self.layers(x) * (1 + self.steps)

def imaginary(shape, outputs):
    return torch.nn.Linear(shape[0], outputs, dtype=torch.complex64)

def brain(shape, outputs):
    return torch.nn.Linear(shape[0], outputs, bias=False, dtype=torch.bfloat16)

class BrainInside(Good):
    def forward(self, x):
        return self.layers(x).bfloat16()

def leaving(shape, outputs):
    raise SystemExit(0)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "theirs_for_tests.py").write_text(SOURCE)
    (tmp_path / "broken_for_tests.py").write_text("import nothing_of_that_name")
    (tmp_path / "leaving_for_tests.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("theirs_for_tests", None)
    return "theirs_for_tests"


def test_a_network_of_the_users_own_is_built_saved_and_loaded(package: str, tmp_path: Path) -> None:
    what = spec(Custom(path=f"{package}:Good", options={"width": 6}))
    model = build(what, seed=0).eval()
    raw = tensors(TABLE, rows=3)
    assert model(*raw).shape == (3, 3)
    assert load(save(model, what, tmp_path / "saved")).model(*raw).equal(model(*raw))
    assert torch.is_tensor(model(*raw))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wide", r"shape \[2, 4\] for 2 rows"),
        ("raising", "RuntimeError: no such thing"),
        ("number", "returned int"),
        ("weightless", "no weights to train"),
        ("Forgets", "raised RuntimeError"),
        ("Pair", "returns tuple"),
        ("Goood", "did you mean 'Good'"),
        ("OfTwo", "on zeros of shape .3, .*RuntimeError"),
        ("imaginary", "weights that can't be released: weight complex64, bias complex64"),
        ("brain", "weights that can't be released: weight bfloat16(.|\n)*set train.precision: bf16"),
        ("BrainInside", r"BrainInside in evaluation returns bfloat16 of shape .2, 3. for 2 rows"),
        ("Lazy", "Lazy leaves the shape of its weights open: 0.weight, 0.bias"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(package: str, name: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        build(spec(Custom(path=f"{package}:{name}")), seed=0)


HIDING = """
import sys
from pydoc import locate
def Net(shape, outputs):
    sys.path.append({!r})
    return locate("hidden_for_tests.Linear")(shape[0], outputs)
"""


def test_a_network_that_loads_what_no_key_counts_is_refused(package: str, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "hidden_for_tests.py").write_text("from torch.nn import Linear")
    (tmp_path / "hiding_for_tests.py").write_text(HIDING.format(str(tmp_path / "lib")))
    with pytest.raises(Refusal, match="hiding_for_tests:Net loads what would change unnoticed: hidden_for_tests"):
        build(spec(Custom(path="hiding_for_tests:Net")), seed=0)


def test_a_network_that_is_not_there_names_those_that_are(package: str) -> None:
    with pytest.raises(Refusal, match=r"allowed: Good, Lazy, wide, .*\n  to do:   name one of these behind the colon"):
        build(spec(Custom(path=f"{package}:Zzzz")), seed=0)


def test_the_line_of_theirs_that_raised_is_named(package: str) -> None:
    line = 1 + SOURCE.splitlines().index('    raise RuntimeError("no such thing")')
    with pytest.raises(Refusal, match=rf"no such thing \(theirs_for_tests.py, line {line}\)"):
        build(spec(Custom(path=f"{package}:raising")), seed=0)


def test_an_option_that_it_does_not_take_is_refused(package: str) -> None:
    with pytest.raises(Refusal, match="depth"):
        build(spec(Custom(path=f"{package}:Good", options={"depth": 2})), seed=0)


@pytest.mark.parametrize("module", ["nowhere_for_tests", "broken_for_tests"])
def test_a_module_that_can_not_be_imported_is_refused(package: str, module: str) -> None:
    with pytest.raises(Refusal, match="ModuleNotFoundError"):
        build(spec(Custom(path=f"{module}:Net")), seed=0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TwoWays", r"TwoWays in training returns tuple"),
        ("OfTwoInTraining", "in training on zeros of shape .3, .*RuntimeError"),
        ("FailsInTraining", "in training on zeros .* raised KeyError"),
        ("Cut", "in training on zeros .* raised RuntimeError"),
    ],
)
def test_a_network_that_can_not_be_trained_is_refused_before_training(package: str, name: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        build(spec(Custom(path=f"{package}:{name}")), seed=0)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("module", ["leaving_for_tests:Net", "theirs_for_tests:leaving"])
def test_user_code_that_ends_the_process_is_refused(module: str) -> None:
    with pytest.raises(Refusal, match="raised SystemExit"):
        build(spec(Custom(path=module)), seed=0)


def test_trying_a_network_changes_none_of_its_weights_and_buffers(package: str) -> None:
    tried = build(spec(Custom(path=f"{package}:Normed")), seed=3)
    state = {name.rpartition("network.")[2]: tensor for name, tensor in tried.network.state_dict().items()}
    assert state["norm.num_batches_tracked"] == 0
    assert state["norm.running_mean"].abs().sum() == 0
    assert all(weight.grad is None for weight in tried.parameters())
    assert tried.training


def test_what_a_network_raises_later_is_a_refusal_that_names_it(package: str) -> None:
    model = build(spec(Custom(path=f"{package}:Picky")), seed=0).train()
    with pytest.raises(Refusal, match=r"theirs_for_tests:Picky on \[5, \d+\] in training raised ValueError: five"):
        model(*tensors(TABLE, rows=5))
    assert model(*tensors(TABLE, rows=4)).shape == (4, 3)


@pytest.mark.parametrize("training", [True, False])
def test_answers_that_are_not_a_row_for_each_row_are_refused_later_too(package: str, training: bool) -> None:
    model = build(spec(Custom(path=f"{package}:Cropped")), seed=0).train(training)
    with pytest.raises(Refusal, match=r"theirs_for_tests:Cropped in \w+ returns float32 of shape \[4, 3\] for 5 rows"):
        model(*tensors(TABLE, rows=5))
    assert model(*tensors(TABLE, rows=4)).shape == (4, 3)


def test_in_bf16_the_answers_of_a_network_may_be_so(package: str) -> None:
    model = build(spec(Custom(path=f"{package}:Good")), seed=0).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.network(*model.features(*tensors(TABLE, rows=3))).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Good", None),
        ("Throws", "Throws answers the same rows otherwise each time in evaluation"),
        ("Counts", "Counts has learned what isn't in its parameters and buffers"),
    ],
)
def test_answers_must_hang_on_what_is_saved_alone(package: str, name: str, said: str | None) -> None:
    what, raw = spec(Custom(path=f"{package}:{name}")), tensors(TABLE, rows=5)
    model = build(what, seed=0).train()
    model(*raw)
    with pytest.raises(Refusal, match=said) if said else nullcontext():
        check_whole(model, what, raw)
