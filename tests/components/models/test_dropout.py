import pytest
import torch

from components.models.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_kept(share: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(share)(torch.ones(999, 333))
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.004)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert len(dropped.unique()) == 2


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(2**20)) > 0).float() - 0.5
    for lag in (1, 7, 8, 9):
        assert abs((kept[lag:] * kept[:-lag]).mean().item()) < 0.001


def test_the_gradient_goes_through_what_was_kept() -> None:
    values = torch.ones(100, requires_grad=True)
    output = Dropout(0.5)(values)
    output.sum().backward()
    assert values.grad is not None
    assert values.grad.equal(output.detach())


def test_nothing_is_dropped_when_not_training_or_not_asked() -> None:
    values = torch.rand(10)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_the_seed_decides() -> None:
    torch.manual_seed(3)
    first = Dropout(0.5)(torch.ones(50))
    torch.manual_seed(3)
    assert Dropout(0.5)(torch.ones(50)).equal(first)
