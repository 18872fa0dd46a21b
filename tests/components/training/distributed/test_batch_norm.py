"""Batch normalisation over processes is torch's own where there is one process. What several do: test_same_result."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from components.training.distributed.batch_norm import SharedBatchNorm, synchronised

NORMS = {
    "images": (lambda: nn.BatchNorm2d(3), (5, 3, 4, 2)),
    "rows": (lambda: nn.BatchNorm1d(3), (7, 3)),
    "without weights": (lambda: nn.BatchNorm2d(3, affine=False), (5, 3, 4, 2)),
    "mean of all batches": (lambda: nn.BatchNorm1d(3, momentum=None), (7, 3)),
    "without statistics": (lambda: nn.BatchNorm1d(3, track_running_stats=False), (7, 3, 2)),
}


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def slopes(norm: nn.Module, values: Tensor) -> tuple[Tensor, ...]:
    inputs = values.clone().requires_grad_()
    output: Tensor = norm(inputs)
    wanted = [inputs, *norm.parameters()]
    return output, *torch.autograd.grad(
        (output * torch.linspace(-1, 2, len(values.flatten())).view_as(values)).sum(), wanted
    )


@pytest.mark.parametrize("case", NORMS)
def test_outputs_slopes_and_statistics_are_those_of_torch(case: str) -> None:
    make, shape = NORMS[case]
    torch.manual_seed(0)
    usual = make()
    if usual.affine:
        nn.init.normal_(usual.weight)
    shared = synchronised(make(), torch.device("cpu"))
    shared.load_state_dict(usual.state_dict())
    assert isinstance(shared, SharedBatchNorm)
    for training in (True, True, False):
        values = torch.randn(shape) * 3 + 5
        usual.train(training)
        shared.train(training)
        for ours, theirs in zip(slopes(shared, values), slopes(usual, values), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
        for name, theirs in usual.state_dict().items():
            torch.testing.assert_close(shared.state_dict()[name], theirs, atol=1e-6, rtol=1e-5)


def test_half_precision_comes_out_as_it_went_in() -> None:
    norm = synchronised(nn.BatchNorm2d(3), torch.device("cpu")).train()
    assert norm(torch.randn(4, 3, 2, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_every_batch_normalisation_within_is_replaced_and_keeps_its_name() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(2)))
    names, weight = list(network.state_dict()), network[1].weight
    changed = synchronised(network, torch.device("cpu"))
    assert [type(module) for module in changed.modules()].count(SharedBatchNorm) == 2
    assert list(changed.state_dict()) == names
    assert changed[1].weight is weight  # type: ignore[index]
