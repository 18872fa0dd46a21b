import pytest
import torch

from components.training.augment import augment, crop, flip, rotate
from components.training.config import Augment

BLACK = torch.zeros(1, 1, 1)


def images(rows: int = 64) -> torch.Tensor:
    return torch.rand(rows, 1, 6, 5, generator=torch.Generator().manual_seed(0))


def test_nothing_asked_nothing_changed() -> None:
    given = images()
    assert augment(Augment(), given, black=BLACK).equal(given)


def test_a_flip_turns_about_half_of_the_images() -> None:
    given = images(400)
    flipped = flip(given)
    turned = torch.tensor([bool(b.equal(a.flip(2))) for a, b in zip(given, flipped, strict=True)])
    kept = torch.tensor([bool(b.equal(a)) for a, b in zip(given, flipped, strict=True)])
    assert (turned ^ kept).all()
    assert 150 < turned.sum() < 250


def test_a_crop_shifts_each_image_and_fills_with_black() -> None:
    given = images()
    seen = set()
    for before, after in zip(given, crop(given, pixels=1), strict=True):
        padded = torch.nn.functional.pad(before, [1] * 4)
        places = [(y, x) for y in range(3) for x in range(3) if padded[:, y : y + 6, x : x + 5].equal(after)]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 9


def test_a_rotation_keeps_the_middle_and_turns_by_at_most_the_angle() -> None:
    pixel = torch.zeros(200, 1, 21, 21)
    pixel[:, :, 10, 20] = 1.0  # right end of the middle row
    turned = rotate(pixel, degrees=30)
    rows = (turned.sum(dim=3) * torch.arange(21)).sum(dim=2) / turned.sum(dim=(2, 3))
    angle = torch.rad2deg(torch.asin(((rows - 10) / 10).clamp(-1, 1)))
    assert angle.abs().max() < 31
    assert angle.std() > 10


def test_a_rotation_of_a_wide_image_does_not_shear_it() -> None:
    dot = torch.zeros(100, 1, 11, 31)
    dot[:, :, 4:7, 4:7] = 1.0  # 10 pixels to the left of the middle
    turned = rotate(dot, degrees=20)
    mass = turned.sum(dim=(1, 2, 3))
    y = (turned.sum(dim=(1, 3)) * torch.arange(11)).sum(dim=1) / mass - 5
    x = (turned.sum(dim=(1, 2)) * torch.arange(31)).sum(dim=1) / mass - 15
    torch.testing.assert_close((x**2 + y**2).sqrt(), torch.full((100,), 10.0), atol=0.15, rtol=0)


@pytest.mark.parametrize("config", [Augment(flip=True), Augment(crop_pixels=2), Augment(rotate_degrees=20)])
def test_the_seed_decides(config: Augment) -> None:
    torch.manual_seed(0)
    first = augment(config, images(), black=BLACK)
    second = augment(config, images(), black=BLACK)
    torch.manual_seed(0)
    assert augment(config, images(), black=BLACK).equal(first)
    assert not second.equal(first)


def test_gaps_are_black_in_the_units_of_the_features() -> None:
    black = torch.tensor([-2.0, -3.0]).view(2, 1, 1)
    given = black.expand(8, 2, 4, 4)
    config = Augment(flip=True, crop_pixels=2, rotate_degrees=45)
    torch.testing.assert_close(augment(config, given, black=black), given)
