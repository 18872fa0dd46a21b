import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.training.config import Constant, Cosine, OneCycle, OnPlateau, Schedule
from components.training.schedules import SCHEDULES, Moment, rate_share


def shares(config: Schedule, *, steps: int, each: int = 10) -> list[float]:
    return [rate_share(config, Moment(step=step, steps=steps, steps_per_epoch=each)) for step in range(steps)]


@pytest.mark.parametrize("rise", [0.3, 0.6])
def test_one_cycle_is_torchs(rise: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=40, pct_start=rise)
    expected = []
    for _ in range(40):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert shares(OneCycle(rise_share=rise), steps=40) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("final", [0.01, 0.2])
def test_cosine_is_torchs(final: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=final)
    expected = []
    for _ in range(40):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert shares(Cosine(final_share=final), steps=40) == pytest.approx(expected, abs=1e-6)
    warm = shares(Cosine(final_share=final, warmup_epochs=2), steps=60)
    assert warm[20:] == pytest.approx(expected, abs=1e-6)  # after the warm-up all of the cosine is left


@pytest.mark.parametrize("config", [Constant(warmup_epochs=2), Cosine(warmup_epochs=2), OnPlateau(warmup_epochs=2)])
def test_the_warm_up_rises_evenly_to_the_full_rate(config: Schedule) -> None:
    rising = shares(config, steps=100)[:20]
    assert rising == pytest.approx([(i + 1) / 20 for i in range(20)])


def test_on_plateau_is_torchs() -> None:
    metrics = [3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 2.1, 1.0, 1.5, 1.5, 1.5, 1.5]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.0)
    improved: list[bool] = []
    for i, metric in enumerate(metrics):
        theirs.step(metric)
        improved.append(metric < min(metrics[:i], default=9.0))
        moment = Moment(step=i, steps=12, steps_per_epoch=1, improved=tuple(improved))
        assert rate_share(OnPlateau(factor=0.5, patience_epochs=2), moment) == optimizer.param_groups[0]["lr"]


@given(st.sampled_from([Constant(), Cosine(warmup_epochs=0.5), OneCycle(), OnPlateau()]), st.integers(1, 50))
def test_every_share_is_above_0_and_at_most_1(config: Schedule, steps: int) -> None:
    assert all(0 < share <= 1 for share in shares(config, steps=steps, each=3))


def test_every_schedule_of_the_config_is_in_the_table() -> None:
    assert set(SCHEDULES) == {config().name for config in (Constant, Cosine, OneCycle, OnPlateau)}
