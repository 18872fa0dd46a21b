import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.config import PrepareConfig
from components.data.drafting.draft import draft
from components.data.images import Unreadable, decode, png, size_of, with_channels
from components.data.load import load
from components.data.packing import pack as pack_module
from components.data.packing.pack import look_ahead
from components.data.packing.quarantine import first_of, quarantine_path
from components.data.preparing.prepare import encode, fit, image_groups
from components.data.sources import image_folder
from components.data.sources.table import source_at
from components.errors import Refusal
from tests.components.data.tables import config, csv, packed, refusal

COLUMNS = config({"image": "image", "label": "category"}, target="label")
rng = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def saved(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **{"format": "PNG", **options})  # type: ignore[arg-type]
    return stream.getvalue()


def pictures(folder: Path, *, count: int = 4, shape: tuple[int, ...] = (8, 8)) -> Path:
    for label in ("cat", "dog"):
        (folder / "pets" / label).mkdir(parents=True)
        for i in range(count):
            (folder / "pets" / label / f"{i}.png").write_bytes(png(noise(*shape)))
    return folder / "pets"


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_and_decode_are_inverse(shape: tuple[int, ...]) -> None:
    pixels = noise(*shape)
    assert np.array_equal(decode(png(pixels)), pixels.reshape(5, 7, -1))


def test_orientation_alpha_palette_and_depth_have_one_meaning() -> None:
    grey = noise(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert np.array_equal(decode(saved(Image.fromarray(grey), exif=exif))[:, :, 0], np.rot90(grey, -1))
    clear = np.dstack([noise(4, 6, 3), np.zeros((4, 6), np.uint8)])
    assert (decode(saved(Image.fromarray(clear))) == 255).all()
    palette = Image.fromarray(noise(4, 6, 3)).convert("P")
    assert np.array_equal(decode(saved(palette)), np.asarray(palette.convert("RGB")))
    deep = grey.astype(np.uint16) * 257
    assert np.array_equal(decode(saved(Image.fromarray(deep)))[:, :, 0], grey)
    with pytest.raises(Unreadable, match="floating-point"):
        decode(saved(Image.fromarray(grey.astype(np.float32)), format="TIFF"))
    with pytest.raises(Unreadable, match="32-bit pixels"):
        decode(saved(Image.fromarray(grey.astype(np.int32) + 65536), format="TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_in_the_head_is_that_of_the_pixels(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(noise(4, 6, 3)), exif=exif, format=kind)
    assert size_of(data) == decode(data).shape[:2]


def test_an_image_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(Unreadable, match="too large an image"):
        decode(png(noise(8, 8)))


def test_grey_and_colour_convert_as_pillow_does() -> None:
    colour = noise(16, 16, 3)
    assert np.array_equal(with_channels(colour, 1)[:, :, 0], np.asarray(Image.fromarray(colour).convert("L")))
    grey = noise(16, 16)
    assert np.array_equal(with_channels(grey[:, :, None], 3), np.asarray(Image.fromarray(grey).convert("RGB")))


def test_a_folder_of_images_packs_by_class_and_loads_as_pixels(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    (root / ".DS_Store").write_text("")
    (root / "cat" / "Thumbs.db").write_text("")
    card = packed(tmp_path, root, COLUMNS)
    assert card.classes == {"cat": 4, "dog": 4}
    rows = load(tmp_path / "packed", np.array([5, 0]), COLUMNS.columns)
    assert rows["image"].shape == (2, 8, 8, 1)
    assert np.array_equal(rows["image"][0], decode((root / "dog" / "1.png").read_bytes()))
    assert rows["label"].tolist() == ["dog", "cat"]


def test_text_named_png_and_truncated_png_are_named(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    csv(root / "cat", "hello there", "text.png")
    csv(root / "dog", png(noise(32, 32))[:200], "cut.png")
    csv(root / "dog", "", "empty.png")
    said = refusal(tmp_path, root, COLUMNS)
    assert "cat/text.png, column 'image': is not an image: it holds text, 'hello there'" in said
    assert "dog/cut.png, column 'image': is a damaged image" in said
    assert "dog/empty.png, column 'image': is not an image: the file is empty" in said


def test_an_image_that_was_set_aside_is_named_by_its_file(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    csv(root / "dog", png(noise(32, 32))[:200], "cut.png")
    packed(tmp_path, root, replace(COLUMNS, bad_rows="quarantine", quarantine_share=0.5))
    assert first_of(quarantine_path(tmp_path / "packed")).startswith("dog/cut.png is a damaged image")


def test_folders_that_are_laid_out_otherwise_are_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "the folder holds no images" in refusal(tmp_path, tmp_path / "none", COLUMNS)
    root = pictures(tmp_path)
    csv(root, png(noise(8, 8)), "loose.png")
    csv(root / "cat", "x", "all.zip")
    csv(root / "cat", "x", "0001")
    csv(root / "cat", "x", "phone.HEIC")
    (root / "empty").mkdir()
    said = refusal(tmp_path, root, COLUMNS)
    assert "loose.png: lies in no class folder" in said
    for name in ("all.zip", "0001"):
        assert f"cat/{name}: is not an image, by its name\n  allowed: .bmp, .gif, .jfif, .jpeg" in said
    assert "cat/phone.HEIC: images of this format can't be read\n  allowed: .bmp, .gif, .jfif, .jpeg" in said
    assert "save it as one of these, or move it out" in said
    assert "empty: the class folder holds no images" in said


def test_a_folder_above_that_of_the_classes_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "above")
    said = refusal(tmp_path, tmp_path / "above", COLUMNS)
    assert "all images lie below 'pets', which would be the only class" in said
    assert "name the folder that holds the classes: it may be above/pets" in said


def test_a_jpeg_whose_name_ends_in_jfif_is_an_image_like_any_other(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    before = packed(tmp_path, root, COLUMNS, "before").rows
    csv(root / "cat", saved(Image.fromarray(noise(8, 8)), format="JPEG"), "download.JFIF")
    assert packed(tmp_path, root, COLUMNS).rows == before + 1


def test_files_that_say_that_they_are_no_images_are_passed_over_and_told(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    packed(tmp_path, root, COLUMNS, "before")
    _, *plain = draft(root).splitlines()
    csv(root, "x", "README.txt")
    csv(root, "x", "LICENSE")
    csv(root / "cat", "x", "0.XML")
    csv(root / "cat", "x", os.fsdecode(b"caf\xe9.json"))
    packed(tmp_path, root, COLUMNS)
    before, after = (tmp_path / name for name in ("before", "packed"))
    assert [path.name for path in sorted(before.iterdir())] == [path.name for path in sorted(after.iterdir())]
    assert all(path.read_bytes() == (after / path.name).read_bytes() for path in before.iterdir())
    _, warning, *others = draft(root).splitlines()
    named = "LICENSE, README.txt, cat/0.XML ..."
    told = f"4 files in the folder are no images, by the name, and passed over: {named}"
    assert (warning, others) == (f"# WARNING: {told}", plain)
    for name in ("LICENSE", "cat/0.XML", os.fsdecode(b"cat/caf\xe9.json")):
        (root / name).unlink()
    assert "WARNING: 1 file in the folder is no image, by the name, and passed over: README.txt" in draft(root)


def test_a_folder_without_images_is_refused_whatever_else_is_in_it(tmp_path: Path) -> None:
    csv(tmp_path, "x", "README.txt")
    with pytest.raises(Refusal, match="the folder holds no images"):
        draft(tmp_path)
    root = pictures(tmp_path)
    (root / "notes").mkdir()
    csv(root / "notes", "x", "README.txt")
    assert "notes: the class folder holds no images" in refusal(tmp_path, root, COLUMNS)


def test_images_may_have_a_file_of_labels_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "MOST_OTHERS", 4)
    root = pictures(tmp_path)
    for image in sorted(root.rglob("*.png")):
        image.with_suffix(".txt").write_text("0 1 1")
    assert packed(tmp_path, root, COLUMNS).rows == 8


def test_images_without_class_folders_are_one_problem(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    for i in range(4):
        csv(root, png(noise(8, 8)), f"{i}.png")
    said = refusal(tmp_path, root, COLUMNS)
    assert "4 images lie in no class folder: 0.png, 1.png, 2.png ..." in said
    assert said.count("to do:") == 1


def test_a_name_that_is_not_utf_8_is_refused_escaped(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    csv(root / "cat", png(noise(8, 8)), os.fsdecode(b"caf\xe9.png"))
    said = "cat/caf\\xe9.png: the name is not UTF-8"
    assert said in refusal(tmp_path, root, COLUMNS)
    with pytest.raises(Refusal, match=re.escape(said)):
        draft(root)


@pytest.mark.parametrize("name", ["cat/more", "cow"])
def test_a_folder_that_is_a_link_is_refused_and_not_passed_over(tmp_path: Path, name: str) -> None:
    folder = pictures(tmp_path)
    elsewhere = pictures(tmp_path / "elsewhere")
    (folder / name).symlink_to(elsewhere / "cat")
    problem = refusal(tmp_path, folder, COLUMNS)
    assert f"pets/{name}: is a link to a folder, which isn't followed" in problem


def test_folders_named_like_parts_of_a_split_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "whole"
    root.mkdir()
    pictures(tmp_path).rename(root / "train")
    assert "look like parts of a split" in refusal(tmp_path, root, COLUMNS)


def test_a_class_folder_with_one_image_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    (root / "newt").mkdir()
    csv(root / "newt", png(noise(8, 8)), "only.png")
    assert "the class 'newt' has 1 row" in refusal(tmp_path, root, COLUMNS)


def test_npz_pictures_become_png_and_come_back(tmp_path: Path) -> None:
    x = noise(10, 6, 5, 3)
    np.savez(tmp_path / "t.npz", a=x, b=np.arange(10) % 2)
    packed(tmp_path, tmp_path / "t.npz", COLUMNS)
    rows = load(tmp_path / "packed", None, COLUMNS.columns)
    assert np.array_equal(rows["image"], x)
    assert rows["label"].tolist() == [str(i % 2) for i in range(10)]


def test_preparation_of_images_learns_channels_mean_and_size(tmp_path: Path) -> None:
    packed(tmp_path, pictures(tmp_path), COLUMNS)
    rows = load(tmp_path / "packed", None, COLUMNS.columns)
    image = fit(PrepareConfig(), COLUMNS, rows, task="classification").image
    assert image is not None
    assert (image.channels, image.size, image.resize) == (1, (8, 8), False)
    assert image.mean[0] == pytest.approx(rows["image"].astype(float).mean() / 255)
    assert image.std[0] == pytest.approx((rows["image"] / 255.0).std())
    colour = fit(PrepareConfig(image_channels=3), COLUMNS, rows, task="classification")
    assert colour.image is not None
    assert (colour.image.channels, len(colour.image.mean)) == (3, 3)
    assert encode(colour, rows)[0].shape == (8, 8, 8, 3)


def test_mixed_sizes_need_a_size_and_are_grouped_by_theirs(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    for i in range(3):
        csv(root / "cat", png(noise(9, 8, 3)), f"x{i}.png")
    packed(tmp_path, root, COLUMNS)
    rows = load(tmp_path / "packed", None, COLUMNS.columns)
    with pytest.raises(Refusal, match="the images have 2 sizes: 8 x 8 pixels"):
        fit(PrepareConfig(), COLUMNS, rows, task="classification")
    learned = fit(PrepareConfig(image_size=(8, 8)), COLUMNS, rows, task="classification")
    groups = image_groups(learned, rows)
    assert sorted(group.pixels.shape for group in groups) == [(3, 9, 8, 3), (8, 8, 8, 3)]
    assert sorted(np.concatenate([group.index for group in groups])) == list(range(11))
    small = load(tmp_path / "packed", np.arange(4), COLUMNS.columns)
    fixed = fit(PrepareConfig(), COLUMNS, small, task="classification")
    assert encode(fixed, small)[0].shape == (4, 8, 8, 1)
    with pytest.raises(Refusal, match=r"3 images are of another size, the first of 9 x 8 pixels"):
        image_groups(fixed, rows)
    with pytest.raises(ValueError, match="images of several sizes"):
        encode(learned, rows)


def test_a_look_ahead_finds_a_damaged_picture(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    look_ahead(COLUMNS, source)
    cut = source / "dog" / "2.png"
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(Refusal, match=r"dog/2\.png.*damaged"):
        look_ahead(COLUMNS, source)


def test_a_look_ahead_at_pictures_ends_in_time_though_one_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures(tmp_path)
    for name in ("cat/0.png", "dog/3.png"):
        (source / name).write_bytes(b"no picture")
    monkeypatch.setattr(pack_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(image_folder, "CHUNK_BYTES", 1)  # one at a time
    with pytest.raises(Refusal) as seen:
        look_ahead(COLUMNS, source)
    assert [problem.where for problem in seen.value.problems] == ["pets/cat/0.png, column 'image'"]


def test_a_damaged_image_is_named_with_the_folder_of_the_source(tmp_path: Path) -> None:
    root = pictures(tmp_path)
    csv(root / "dog", png(noise(32, 32))[:200], "7.png")
    assert refusal(tmp_path, root, COLUMNS).startswith("pets/dog/7.png, column 'image': is a damaged image")


def test_an_image_that_vanishes_while_others_are_read_is_no_bug(tmp_path: Path) -> None:
    opened = source_at(pictures(tmp_path), COLUMNS)
    (tmp_path / "pets" / "dog" / "3.png").unlink()
    with pytest.raises(Refusal, match=r"pets/dog/3.png: can't be read \(No such file or directory\)\n  allowed: "):
        list(opened.chunks())
