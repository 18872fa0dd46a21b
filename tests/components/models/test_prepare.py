import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from components.data.preparing.preparation import ImageColumn, NumberColumn, Ranks
from components.models.model import soft_clip
from components.models.prepare import PrepareImage, PrepareTable
from tests.components.models.cases import TABLE, tensors

NO_CODES = torch.zeros(1, 0, dtype=torch.int64)


def ranks(*quantiles: float) -> Ranks:
    return Ranks(quantiles=quantiles, center=0.0, scale=1.0)


def test_numbers_are_filled_standardised_and_flagged() -> None:
    column = NumberColumn(name="x", fill=3.0, center=1.0, scale=2.0, flag=True)
    features, _ = PrepareTable((column,))(torch.tensor([[5.0], [float("nan")]], dtype=torch.float64), NO_CODES)
    assert features.tolist() == [[2.0, 0.0], [1.0, 1.0]]
    assert features.dtype == torch.float32


def test_large_numbers_keep_their_differences() -> None:
    column = NumberColumn(name="time", fill=0.0, center=1e9, scale=1.0)
    features, _ = PrepareTable((column,))(torch.tensor([[1e9 + 1], [1e9 + 2]], dtype=torch.float64), NO_CODES)
    assert features.flatten().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("value", [3.4028235e38, -3.4028235e38, 1.7e308, -1.7e308])
def test_what_is_far_beyond_all_measure_stays_finite_and_far(value: float) -> None:
    plain = NumberColumn(name="x", fill=0.0, center=1.0, scale=0.5)
    ranked = NumberColumn(name="y", fill=0.0, center=0.0, scale=1.0, ranks=ranks(-1.0, 0.0, 1.0, 2.0))
    tiny = NumberColumn(name="z", fill=0.0, center=0.0, scale=1.0, ranks=ranks(0.0, 1e-309))
    features, codes = PrepareTable((plain, ranked, tiny))(torch.full((1, 3), value, dtype=torch.float64), NO_CODES)
    side = np.sign(value)
    np.testing.assert_allclose(side * features[0, :3].numpy(), 1e15)
    assert features[0, 3:].tolist() == [side, side]
    bounded = soft_clip(features[:, :1])
    assert bounded.item() == pytest.approx(3 * side)
    assert not codes.any()


def test_what_lies_far_outside_the_train_rows_counts_as_one_span_outside() -> None:
    column = NumberColumn(name="x", fill=0.0, center=1.0, scale=2.0, span=(-1.0, 9.0))
    numbers = torch.tensor([[-12.0], [-10.0], [18.0], [20.0]], dtype=torch.float64)
    bounded, _ = PrepareTable((column,))(numbers, NO_CODES)
    as_given, _ = PrepareTable((column,), bounded=False)(numbers, NO_CODES)
    assert bounded.flatten().tolist() == [-6.0, -5.5, 8.5, 9.0]
    assert as_given.flatten().tolist() == [-6.5, -5.5, 8.5, 9.5]


def test_a_number_with_ranks_is_there_too_so_that_long_tails_go_on() -> None:
    """Ranks alone end at the train rows' greatest value: a sum of long-tailed columns had ten times the linear error."""
    plain = NumberColumn(name="plain", fill=0.0, center=0.0, scale=1.0, flag=True)
    ranked = NumberColumn(
        name="ranked", fill=0.0, center=10.0, scale=5.0, ranks=Ranks(quantiles=(0.0, 20.0), center=0.5, scale=0.25)
    )
    features, _ = PrepareTable((plain, ranked))(torch.tensor([[2.0, 40.0], [3.0, 5.0]], dtype=torch.float64), NO_CODES)
    assert features.tolist() == [[2.0, 6.0, 2.0, 0.0], [3.0, -1.0, -4.0, 0.0]]


def test_codes_pass_through() -> None:
    numbers, codes = tensors(TABLE, rows=5)
    assert PrepareTable(TABLE.numbers)(numbers, codes)[1].equal(codes)


@given(
    knots=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20, unique=True),
    values=st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=10),
)
def test_the_quantile_map_is_numpys_interpolation(knots: list[float], values: list[float]) -> None:
    rising = sorted(knots)
    if min(np.diff(rising)) < 1e-3:
        return
    plain = NumberColumn(name="plain", fill=0.0, center=0.0, scale=1.0)
    column = NumberColumn(name="x", fill=0.0, center=0.0, scale=1.0, ranks=ranks(*rising))
    numbers = torch.tensor([[value, value] for value in values], dtype=torch.float64)
    features, _ = PrepareTable((plain, column))(numbers, NO_CODES)
    expected = np.interp(values, rising, np.linspace(-1, 1, len(rising)))
    np.testing.assert_allclose(features[:, 2].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(features[:, 0].numpy(), np.array(values, dtype=np.float32))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_resized_and_normalised_per_channel(channels: int) -> None:
    mean, std = tuple(0.1 * (i + 1) for i in range(channels)), tuple(0.2 * (i + 1) for i in range(channels))
    column = ImageColumn(name="i", channels=channels, size=(6, 4), resize=True, mean=mean, std=std)
    pixels = torch.randint(0, 256, (3, 13, 9, channels), dtype=torch.uint8)
    (image,) = PrepareImage(column)(pixels)
    resized = (
        functional.interpolate(pixels.permute(0, 3, 1, 2).float(), size=(6, 4), mode="bilinear", antialias=True) / 255
    )
    expected = torch.stack([(resized[:, i] - mean[i]) / std[i] for i in range(channels)], dim=1)
    torch.testing.assert_close(image, expected)


def test_black_is_what_a_pixel_of_zero_becomes() -> None:
    column = ImageColumn(name="i", channels=3, size=(2, 2), resize=False, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.2))
    module = PrepareImage(column)
    (image,) = module(torch.zeros(1, 2, 2, 3, dtype=torch.uint8))
    torch.testing.assert_close(image[0], module.black.expand(3, 2, 2))
