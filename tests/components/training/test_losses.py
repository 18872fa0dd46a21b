import pytest
import torch
from torch.nn import functional

from components.training.config import BCE, MAE, MSE, CrossEntropy, Huber
from components.training.losses import LOSSES, criterion

OUTPUT = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 1.0, 4.0], [5.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 2, 1, 0])
VALUES, PREDICTED = torch.tensor([0.0, 3.0, -2.0]), torch.tensor([[0.5], [0.0], [-2.0]])


def test_cross_entropy_is_torchs() -> None:
    for smoothing in (0.0, 0.1):
        loss = criterion(CrossEntropy(label_smoothing=smoothing), target=LABELS, classes=3)
        torch.testing.assert_close(
            loss(OUTPUT, LABELS), functional.cross_entropy(OUTPUT, LABELS, label_smoothing=smoothing)
        )


def test_balanced_weights_make_each_class_count_the_same() -> None:
    loss = criterion(CrossEntropy(class_weights="balanced"), target=LABELS, classes=3)
    each = functional.cross_entropy(OUTPUT, LABELS, reduction="none")
    expected = sum(each[k == LABELS].mean() for k in range(3)) / 3
    torch.testing.assert_close(loss(OUTPUT, LABELS), torch.as_tensor(expected))


def test_balanced_classes_are_smoothed_as_torch_does_it() -> None:
    config = CrossEntropy(class_weights="balanced", label_smoothing=0.2)
    each = 4 / (3 * torch.tensor([2.0, 1.0, 1.0]))
    expected = functional.cross_entropy(OUTPUT, LABELS, weight=each, label_smoothing=0.2, reduction="sum") / 4
    torch.testing.assert_close(criterion(config, target=LABELS, classes=3)(OUTPUT, LABELS), expected)


def test_a_batch_without_a_class_does_not_change_the_weights_of_the_others() -> None:
    loss = criterion(CrossEntropy(class_weights="balanced"), target=LABELS, classes=3)
    single = functional.cross_entropy(OUTPUT[1:2], LABELS[1:2])
    torch.testing.assert_close(loss(OUTPUT[1:2], LABELS[1:2]), single * 4 / 3)


def test_binary_cross_entropy_of_two_classes_is_torchs_twice() -> None:
    labels = torch.tensor([0, 1, 1, 0])
    loss = criterion(BCE(), target=labels, classes=2)
    difference = OUTPUT[:, 1] - OUTPUT[:, 0]
    expected = 2 * functional.binary_cross_entropy_with_logits(difference, labels.float())
    torch.testing.assert_close(loss(OUTPUT[:, :2], labels), expected, atol=1e-5, rtol=1e-5)


def test_binary_cross_entropy_of_three_classes_is_each_against_the_rest() -> None:
    loss = criterion(BCE(), target=LABELS, classes=3)
    each = functional.binary_cross_entropy(
        torch.softmax(OUTPUT, dim=1), functional.one_hot(LABELS, 3).float(), reduction="none"
    )
    torch.testing.assert_close(loss(OUTPUT, LABELS), each.sum(dim=1).mean(), atol=1e-5, rtol=1e-5)


def test_binary_cross_entropy_stays_finite_where_the_net_is_sure_and_wrong() -> None:
    output = torch.tensor([[100.0, -100.0]], requires_grad=True)
    loss = criterion(BCE(), target=LABELS, classes=2)(output, torch.tensor([1]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    assert output.grad.abs().max() > 0


def test_losses_of_values_are_torchs() -> None:
    flat = PREDICTED.squeeze(1)
    for config, expected in (
        (MSE(), functional.mse_loss(flat, VALUES)),
        (MAE(), functional.l1_loss(flat, VALUES)),
        (Huber(delta=0.7), functional.huber_loss(flat, VALUES, delta=0.7)),
        (None, functional.mse_loss(flat, VALUES)),
    ):
        torch.testing.assert_close(criterion(config, target=VALUES, classes=0)(PREDICTED, VALUES), expected)


def test_every_loss_of_the_config_is_in_the_table() -> None:
    assert set(LOSSES) == {config().name for config in (CrossEntropy, BCE, MSE, MAE, Huber)}


def test_balanced_weights_count_in_double_precision_too() -> None:
    """The linear start is fitted in float64."""
    target = torch.tensor([0, 0, 0, 1])
    loss = criterion(CrossEntropy(class_weights="balanced"), target=target, classes=2)
    output = torch.tensor([[0.3, -0.1], [1.0, 0.0], [0.2, 0.4], [-0.5, 0.5]])
    assert loss(output.double(), target).item() == pytest.approx(loss(output, target).item(), rel=1e-6)
