"""From the bytes of any image file to pixels, or to a typed failure."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from featurestore.errors import NotImage, TooLarge, TooSmall, Undecodable

THUMBNAIL = 32  # px; the raw tensor's side
STRIP_PIXELS = 4 * 2**20  # of large images, converted at a time
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gibibyte at 3 bytes a pixel
SLOW_BYTES = 4 * 2**20  # of a file that is decoded in Python, in about two seconds

# Named one by one, because some of Pillow's other formats run programs (EPS starts Ghostscript).
_WANTED = {
    *("JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF"),
    *("BMP", "DIB", "TIFF", "PPM", "JPEG2000", "ICO", "TGA"),
}
Image.init()
FORMATS = tuple(sorted(_WANTED & Image.OPEN.keys()))

# Of these, the first bytes alone tell an image from, say, a page to log in.
_SIGNED = [
    accept for name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF") if (accept := Image.OPEN[name][1])
]
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations of which width and height change places

# Pillow keeps some memory instead of asking the system for each image's anew: a tenth of the time.
Image.core.set_block_size(2**20)  # type: ignore[attr-defined]
Image.core.set_blocks_max(64)  # type: ignore[attr-defined]

# Between this limit and twice it Pillow warns; decode() refuses anyway.
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Damaged EXIF blocks and the like: what can be decoded is, whatever Pillow thinks of it.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes
    ----------
    pixels : uint8 (size, size, 3), RGB; what the backbone sees
    thumbnail : uint8 (32, 32, 3), RGB; the raw tensor
    larger : dict from a side in px to uint8 (side, side, 3), RGB; the same, larger
    width, height : int, px; the image's own size, upright
    format : str, such as "JPEG"; what the bytes are, whatever the file's name says
    """

    pixels: npt.NDArray[np.uint8]
    thumbnail: npt.NDArray[np.uint8]
    width: int
    height: int
    format: str
    larger: dict[int, npt.NDArray[np.uint8]] = field(default_factory=dict)


def decode(data: bytes, size: int, min_side: int = 1, larger: Sequence[int] = ()) -> Decoded:
    """Decode an image file and resize it, the whole of it, to squares.

    The first frame of an animation counts, EXIF orientation is applied, transparency becomes white,
    16 bits become 8. The whole image is kept and squeezed into the square, without a crop: what
    evokes an emotion may stand at the edge. A JPEG of at least twice the size is decoded at a half,
    a quarter or an eighth.

    Parameters
    ----------
    data : bytes
        The file.
    size : int
        Side of ``pixels``, px.
    min_side : int
        The fewest pixels that an image may have on a side.
    larger : sequence of int
        Sides of further tensors, px. Nothing else depends on them.

    Raises
    ------
    NotImage, Undecodable, TooLarge, TooSmall
    """
    if not data:
        raise NotImage("zero bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        if any(accept(data[:16]) is True for accept in _SIGNED):
            raise Undecodable("begins like an image, but its header is damaged") from None
        raise NotImage(f"no known image format ({len(data)} bytes)") from None
    except _BOMBS as error:
        raise TooLarge(str(error)) from None
    except Exception as error:  # Pillow's plugins raise anything on corrupt headers
        raise Undecodable(_reason(error)) from None
    try:
        return _load(image, data, size, min_side, larger)
    except (TooLarge, TooSmall, Undecodable):
        raise
    except _BOMBS as error:
        raise TooLarge(str(error)) from None
    except Exception as error:  # the same for corrupt bodies
        raise Undecodable(_reason(error)) from None


def _load(
    image: Image.Image, data: bytes, size: int, min_side: int, larger: Sequence[int]
) -> Decoded:
    width, height = image.size
    full_width = width
    if width * height > MAX_PIXELS:
        raise TooLarge(f"{width} x {height} px; the limit is {MAX_PIXELS} pixels")
    if min(width, height) < min_side:
        raise TooSmall(f"{width} x {height} px; the limit is {min_side} on a side")
    if len(data) > SLOW_BYTES and _is_slow(image):
        raise Undecodable(
            f"{len(data):,} bytes in a kind of {image.format} that takes too long; give a PNG"
        )
    file_format = image.format or ""
    # Reduced-size decoding stops at what both outputs need: the area mean takes whole pixels only,
    # so with fewer than four a side the thumbnail would depend on the size.
    image.draft("RGB", (max(size, 4 * THUMBNAIL),) * 2)
    decoded_width = image.width
    image.load()
    # A photograph with a damaged EXIF block is still a photograph.
    with contextlib.suppress(Exception):
        if image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE:
            width, height = height, width
    rgb = _to_upright_rgb(image)
    thumbnail = _resize(rgb, THUMBNAIL, Image.Resampling.BOX)
    pixels = thumbnail if size == THUMBNAIL else _resize(rgb, size, Image.Resampling.BILINEAR)
    if larger and decoded_width < full_width:
        # Where they need more pixels than were decoded, the file is decoded again: what the
        # backbone sees must not depend on which sizes are kept beside it.
        finer = Image.open(io.BytesIO(data), formats=FORMATS)
        finer.draft("RGB", (max(larger),) * 2)
        if finer.width > decoded_width:
            finer.load()
            rgb = _to_upright_rgb(finer)
    kept = {side: _resize(rgb, side, Image.Resampling.BILINEAR) for side in larger}
    return Decoded(pixels, thumbnail, width, height, file_format, kept)


def _is_slow(image: Image.Image) -> bool:
    """Return whether Pillow decodes an image in Python: 30 MB took a quarter of a minute.

    Plain PPMs, those of other than 256 levels, and packed BMPs are.
    """
    return any(tile[0] in Image.DECODERS for tile in getattr(image, "tile", ()))


def _to_upright_rgb(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # as above
        ImageOps.exif_transpose(image, in_place=True)
    return _to_rgb(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.has_transparency_data:
        return _by_strips(image, _on_white)
    return image.convert("RGB")  # palette, gray, CMYK, YCbCr, 1 bit


def _on_white(image: Image.Image) -> Image.Image:
    # An image whose colours were multiplied by alpha has "a" in its mode; convert undoes it.
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """Return an RGB image from a gray one of 16 or 32 bits, or of floats.

    Pillow's own conversion would clip at 255. Integers are taken for 16 bits where any is over 255;
    floats for 0..1 where none is over 1.
    """
    top = 0.0
    for box in _strips(image):
        values = np.asarray(image.crop(box), dtype=np.float64)
        if not np.isfinite(values).all():
            raise Undecodable("holds values that are not finite")
        top = max(top, float(values.max(initial=0)))
    if image.mode == "F":
        scale = 255.0 if top <= 1 else 1.0
    else:
        scale = 255 / 65535 if image.mode != "I" or top > 255 else 1.0

    def convert(strip: Image.Image) -> Image.Image:
        values = np.rint(np.asarray(strip, dtype=np.float64) * scale)
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")

    return _by_strips(image, convert)


def _strips(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    rows = max(1, STRIP_PIXELS // max(image.width, 1))
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert an image to RGB, pixel by pixel, without several copies of a large one at a time."""
    if image.width * image.height <= STRIP_PIXELS:
        return convert(image)
    whole = Image.new("RGB", image.size)
    for box in _strips(image):
        whole.paste(convert(image.crop(box)), box)
    return whole


def _resize(image: Image.Image, size: int, resample: Image.Resampling) -> npt.NDArray[np.uint8]:
    # Pillow's filters widen when they shrink, so both are antialiased; BOX is the area mean.
    return np.asarray(image.resize((size, size), resample))  # (size, size, 3)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text}"[:200]
