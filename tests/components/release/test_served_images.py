"""Images, in every form that people give them."""

import base64

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from components.data import images
from components.release import served
from tests.components.release.models import ask, encoded


def pictures() -> list[tuple[str, bytes]]:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    colour, alpha = Image.fromarray(noise[:, :, :3]), Image.fromarray(noise)
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        ("grey", encoded(Image.fromarray(noise[:, :, 0]))),
        ("colour", encoded(colour)),
        ("transparent", encoded(alpha)),
        ("grey with alpha", encoded(alpha.convert("LA"))),
        ("palette", encoded(colour.quantize(8))),
        ("one bit", encoded(colour.convert("1"))),
        ("16 bits", encoded(Image.fromarray(noise[:, :, 0].astype(np.uint16) * 200))),
        ("turned", encoded(colour, "JPEG", exif=turned)),
        ("ink", encoded(colour.convert("CMYK"), "JPEG")),
        ("gif", encoded(colour, "GIF")),
    ]


@pytest.mark.parametrize(("name", "data"), pictures(), ids=[name for name, _ in pictures()])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_read_as_ingest_reads_them(name: str, data: bytes, channels: int) -> None:
    expected = images.with_channels(images.decode(data), channels)
    np.testing.assert_array_equal(served.pixels(data, channels), expected)
    np.testing.assert_array_equal(served.pixels(base64.b64encode(data).decode(), channels), expected)


def test_every_form_of_an_image_gives_the_same_answer(grey: served.Served) -> None:
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    data = encoded(Image.fromarray(array))
    text = base64.b64encode(data).decode()
    forms = [
        data,
        text,
        f"data:image/png;base64,{text}",
        array,
        array[:, :, None],
        array.tolist(),
        {"bytes": data, "path": "a.png"},
        {"bytes": text},
        np.repeat(array[:, :, None], 3, axis=2),
    ]
    answers = ask(grey, pd.DataFrame({"picture": forms}))
    assert answers["probability_bright"].tolist() == [23.5] * len(forms)
    assert answers["prediction"].tolist() == ["dark"] * len(forms)
    for batch in (
        np.stack([array] * 3),
        np.stack([array[:, :, None]] * 3),
        [array] * 3,
        [{"bytes": data}] * 3,
        {"picture": np.stack([array] * 3)},
        {"picture": [text] * 3},
        [{"picture": data}] * 3,
        pd.DataFrame([{"picture": [text] * 3}]),
    ):
        assert ask(grey, batch)["probability_bright"].tolist() == [23.5] * 3


def test_images_of_mixed_sizes_are_answered_in_order(grey: served.Served) -> None:
    order = np.random.default_rng(0).permutation(150)
    rows = [np.full((3 + value % 4, 5, 1), value, dtype=np.uint8) for value in order]
    answers = ask(grey, pd.DataFrame({"picture": rows}))
    assert answers["probability_bright"].tolist() == order.tolist()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"no image", "the bytes aren't an image"),
        (pictures()[1][1][:60], "can't be decoded"),
        ("not base64!", "the text isn't base64"),
        ([[300]], "pixels are whole numbers of 0 to 255"),
        ([[0.5]], "pixels are whole numbers of 0 to 255"),
        ([1, 2], "an image is an array [H, W] or [H, W, C]"),
        ([[1, 2], [3]], "can't be read"),
        ({"bytes": None, "path": "/etc/hostname"}, "bytes are needed"),
        (None, "an image is a file's bytes, such bytes as base64 text, or an array"),
        (3, "an image is a file's bytes"),
    ],
)
def test_what_is_no_image_is_refused(grey: served.Served, image: object, message: str) -> None:
    with pytest.raises(MlflowException) as caught:
        ask(grey, [{"picture": image}])
    assert "column 'picture', row 0" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("shape", "size"), [(["batch", 8, 6, 1], (8, 6)), (["batch", "height", "width", 1], None)])
def test_the_size_that_a_model_takes_is_read_off_its_graph(shape: list[int | str | None], size: object) -> None:
    assert served.only_size(shape) == size


def test_an_image_of_another_size_than_the_model_takes_is_refused(grey: served.Served) -> None:
    grey.size = (6, 8)
    try:
        assert len(ask(grey, [{"picture": np.zeros((6, 8), np.uint8)}])) == 1
        with pytest.raises(MlflowException, match=r"(?s)row 1: .* it has 8 x 6 pixels.* takes 6 x 8 alone"):
            ask(grey, [{"picture": np.zeros(shape, np.uint8)} for shape in ((6, 8), (8, 6))])
    finally:
        grey.size = None


def test_who_sends_no_image_is_told_what_one_is(grey: served.Served) -> None:
    with pytest.raises(
        MlflowException,
        match=r"missing column: picture\..* found photo: look for a mistyped name\. An image is a file's bytes",
    ):
        ask(grey, [{"photo": "holiday"}])
