"""Pictures as bytes, and as pixels: the one meaning of an image file, in training and in serving.

H x W pixels, C channels: 1 for grey, 3 for red, green, blue. Only Pillow and numpy, so that a server can use it too.
"""

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]

SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
_ORIENTATION: Final = 0x0112  # the EXIF tag
_TURNED: Final = frozenset({5, 6, 7, 8})  # its values that swap height and width
_GREY: Final = frozenset({"1", "L", "LA", "La"})
_DEEP: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class Unreadable(ValueError):
    """The bytes are no image, or a damaged one; the message says which."""


def decode(data: bytes) -> Pixels:
    """Return the pixels, [H, W, C] with C 1 or 3, of an image file.

    The EXIF orientation is applied. What is transparent shows white. 16-bit grey is scaled to 8 bits, a
    palette becomes colour, of an animation the first frame counts.

    Raises:
        Unreadable: not an image, a truncated one, or one of floating-point pixels.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            return _pixels(ImageOps.exif_transpose(opened))
    except Unreadable:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise Unreadable(f"is too large an image ({error})") from None
    except UnidentifiedImageError:
        raise Unreadable(f"is not an image{_looks_like(data)}") from None
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error... on damaged files.
        raise Unreadable(f"is a damaged image ({error})") from None


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return height and width of an image file as its head has them; None where that is none of an image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            by_pillow = image.format == "TIFF"  # turned when it was opened
            turned = not by_pillow and image.getexif().get(_ORIENTATION) in _TURNED
            return (image.width, image.height) if turned else (image.height, image.width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _pixels(image: Image.Image) -> Pixels:
    if image.mode in _DEEP:
        return _deep(image)
    if image.mode == "F":
        raise Unreadable("has floating-point pixels: save it with 8 or 16 bits per channel")
    channels = 1 if image.mode in _GREY else 3
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return np.ascontiguousarray(array.reshape(array.shape[0], array.shape[1], channels))


def _deep(image: Image.Image) -> Pixels:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("has 32-bit pixels: save it with 8 or 16 bits per channel")
    return ((values + 128) // 257).astype(np.uint8)[:, :, None]


def _looks_like(data: bytes) -> str:
    if not data:
        return ": the file is empty"
    try:
        text = data[:40].decode("ascii")
    except UnicodeDecodeError:
        return ""
    return f": it holds text, {text.splitlines()[0]!r}" if text.strip() else ""


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return the pixels [..., C] as grey or colour, by the weights that Pillow's own conversion uses."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)  # ITU-R 601-2 luma, in 65536ths
    return ((pixels.astype(np.uint32) @ weights + 0x8000) >> 16).astype(np.uint8)[..., None]


def png(pixels: Pixels) -> bytes:
    """Return the pixels [H, W] or [H, W, C], C 1 to 4, as the bytes of a PNG file."""
    stream = io.BytesIO()
    squeezed = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    Image.fromarray(np.ascontiguousarray(squeezed)).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()
