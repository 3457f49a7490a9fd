"""From the bytes of any image file to pixels, or to a typed failure."""

import io
import shlex
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from featurestore._decode import MAX_PIXELS, Decoded, decode
from featurestore.errors import NotImage, RecordFailure, TooLarge, Undecodable

Bytes = npt.NDArray[np.uint8]

RED, GREEN, BLUE, YELLOW = (220, 30, 40), (40, 200, 60), (20, 50, 230), (230, 220, 30)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def quarters(width: int = 48, height: int = 32) -> Bytes:
    """Return a picture: red, green above blue, yellow."""
    picture = np.zeros((height, width, 3), np.uint8)
    for k, color in enumerate((RED, GREEN, BLUE, YELLOW)):
        y, x = divmod(k, 2)
        picture[y * height // 2 :, x * width // 2 :] = color
    return picture


def centers(pixels: Bytes) -> Bytes:
    """Return the colours in the middle of the four quarters, (4, 3)."""
    near, far = len(pixels) // 4, 3 * len(pixels) // 4
    return pixels[[near, near, far, far], [near, far, near, far]]


def assert_color(data: bytes, color: tuple[int, int, int], within: int = 0) -> None:
    decoded = decode(data, 40)
    for pixels in (decoded.pixels, decoded.thumbnail):
        difference = np.abs(pixels.astype(int) - color).max()
        assert difference <= within, f"{pixels[0, 0]} instead of {color}"


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 99))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


# What a camera stores, by the EXIF standard: where the picture's top row and left column are.
STORED: dict[int, Callable[[Bytes], Bytes]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("file_format", "options"),
    [("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("TIFF", {})],
)
def test_pictures_come_out_upright(
    orientation: int, file_format: str, options: dict[str, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](quarters()))
    decoded = decode(encode(Image.fromarray(stored), file_format, exif=exif, **options), 40)
    assert (decoded.width, decoded.height) == (48, 32)
    for pixels in (decoded.pixels, decoded.thumbnail):
        np.testing.assert_allclose(centers(pixels).astype(int), [RED, GREEN, BLUE, YELLOW], atol=4)


def test_a_big_jpeg_on_its_side_has_its_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(STORED[6](quarters(480, 320)))
    decoded = decode(encode(Image.fromarray(stored), "JPEG", exif=exif), 40)
    assert (decoded.width, decoded.height) == (480, 320)
    np.testing.assert_allclose(
        centers(decoded.pixels).astype(int), [RED, GREEN, BLUE, YELLOW], atol=4
    )


# Pillow warns of such blocks, and a warning that is an error would end the decoding.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger than file")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage garbage",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\xff\xff\0\0\xff\xff\0\0\0\0",
    ],
    ids=["empty", "garbage", "cut short", "points outside", "value outside"],
)
def test_a_photograph_with_damaged_exif_is_still_a_photograph(exif: bytes) -> None:
    assert_color(encode(Image.new("RGB", (60, 44), RED), "JPEG", exif=exif), RED, within=3)


@pytest.mark.parametrize(
    "entry",
    [
        struct.pack(">HHIi", 0x8769, 6, 1, -1),
        struct.pack(">HHI4s", 0x011A, 1, 4, b"abcd"),
    ],
    ids=["block before the start", "text for a number"],
)
def test_orientation_counts_even_where_the_rest_of_exif_is_damaged(entry: bytes) -> None:
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + orientation + entry + bytes(4)
    stored = np.ascontiguousarray(STORED[6](quarters()))
    decoded = decode(encode(Image.fromarray(stored), "JPEG", quality=95, exif=exif), 40)
    assert (decoded.width, decoded.height) == (48, 32)
    np.testing.assert_allclose(
        centers(decoded.pixels).astype(int), [RED, GREEN, BLUE, YELLOW], atol=4
    )


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("TGA", {}),
        ("ICO", {}),
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_keep_their_colors(file_format: str, options: dict[str, Any]) -> None:
    data = encode(Image.new("RGB", (48, 48), RED), file_format, **options)
    assert decode(data, 40).format == file_format
    assert_color(data, RED)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (200, 150), RED)]}),
    ],
)
def test_lossy_formats_nearly_keep_their_colors(file_format: str, options: dict[str, Any]) -> None:
    data = encode(Image.new("RGB", (200, 150), GREEN), file_format, **options)
    assert decode(data, 40).format == file_format
    assert_color(data, GREEN, within=3)


def test_outputs_are_squares_of_bytes() -> None:
    decoded = decode(encode(Image.new("RGB", (50, 70), RED), "PNG"), 96)
    assert (decoded.pixels.shape, decoded.pixels.dtype) == ((96, 96, 3), np.uint8)
    assert (decoded.thumbnail.shape, decoded.thumbnail.dtype) == ((32, 32, 3), np.uint8)
    assert (decoded.width, decoded.height) == (50, 70)


def test_the_whole_image_is_squeezed_without_a_crop() -> None:
    picture = np.zeros((40, 400, 3), np.uint8)
    picture[:, :20], picture[:, 20:380], picture[:, 380:] = RED, BLUE, GREEN
    pixels = decode(encode(Image.fromarray(picture), "PNG"), 40).pixels
    assert pixels[20, [0, 20, 39]].tolist() == [list(RED), list(BLUE), list(GREEN)]


def palette_image() -> Image.Image:
    image = Image.new("P", (48, 48), 1)
    image.putpalette([*GREEN, *RED, *BLUE])
    return image


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_a_palette_gives_its_colors(file_format: str) -> None:
    assert_color(encode(palette_image(), file_format), RED)


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(file_format: str) -> None:
    image = palette_image()
    image.paste(2, (24, 0, 48, 48))
    pixels = decode(encode(image, file_format, transparency=1), 48).pixels
    assert pixels[24, [4, 44]].tolist() == [[255, 255, 255], list(BLUE)]


def test_half_transparent_palette_entries_are_mixed_with_white() -> None:
    data = encode(palette_image(), "PNG", transparency=bytes([255, 51, 255]))
    assert_color(data, (248, 210, 212), within=1)


@pytest.mark.parametrize(
    ("mode", "color", "seen"),
    [
        ("RGBA", (*RED, 0), (255, 255, 255)),
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (0, 100, 200, 51), (204, 224, 244)),
        ("LA", (100, 0), (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (0, 51), (204, 204, 204)),
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("1", 0, (0, 0, 0)),
    ],
)
def test_modes_are_shown_on_white(
    mode: str, color: int | tuple[int, ...], seen: tuple[int, int, int]
) -> None:
    assert_color(encode(Image.new(mode, (48, 48), color), "PNG"), seen, within=1)


def test_a_transparent_color_of_an_rgb_png_becomes_white() -> None:
    assert_color(encode(Image.new("RGB", (48, 48), RED), "PNG", transparency=RED), (255,) * 3)


def test_a_gray_jpeg_is_gray() -> None:
    assert_color(encode(Image.new("L", (48, 48), 90), "JPEG"), (90, 90, 90), within=1)


@pytest.mark.parametrize(
    ("cmyk", "seen"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_a_cmyk_jpeg_has_its_colors_not_their_opposites(
    cmyk: tuple[int, ...], seen: tuple[int, int, int]
) -> None:
    assert_color(encode(Image.new("CMYK", (48, 48), cmyk), "JPEG", quality=95), seen, within=4)


@pytest.mark.parametrize(("value", "gray"), [(0, 0), (200, 1), (60000, 233), (65535, 255)])
@pytest.mark.parametrize(
    ("file_format", "dtype"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")]
)
def test_sixteen_bits_become_eight(file_format: str, dtype: str, value: int, gray: int) -> None:
    image = Image.fromarray(np.full((48, 48), value, dtype))
    assert_color(encode(image, file_format), (gray, gray, gray))


@pytest.mark.parametrize(
    ("values", "grays"), [((0, 200), (0, 200)), ((257, 65535), (1, 255)), ((-9, 255), (0, 255))]
)
def test_integers_of_32_bits_are_scaled_only_where_one_is_over_255(
    values: tuple[int, int], grays: tuple[int, int]
) -> None:
    picture = np.repeat(np.array(values, np.int32), 20)[None].repeat(40, axis=0)
    pixels = decode(encode(Image.fromarray(picture), "TIFF"), 40).pixels
    assert pixels[20, [2, 37], 1].tolist() == list(grays)


@pytest.mark.parametrize(
    ("values", "grays"),
    [((0.0, 1.0), (0, 255)), ((0.2, 0.6), (51, 153)), ((30.0, 300.0), (30, 255))],
)
def test_floats_count_to_1_or_to_255(values: tuple[float, float], grays: tuple[int, int]) -> None:
    picture = np.repeat(np.array(values, np.float32), 20)[None].repeat(40, axis=0)
    pixels = decode(encode(Image.fromarray(picture), "TIFF"), 40).pixels
    assert pixels[20, [2, 37], 1].tolist() == list(grays)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_undecodable(value: float) -> None:
    with pytest.raises(Undecodable, match="not finite"):
        decode(encode(Image.fromarray(np.full((9, 9), value, np.float32)), "TIFF"), 40)


def large_of_its_kind(mode: str) -> bytes:
    """Return a PNG or TIFF of a mode that is converted in strips where it is large."""
    values = np.arange(70 * 50).reshape(50, 70)
    if mode == "I;16":
        return encode(Image.fromarray((values * 18).astype(np.uint16)), "PNG")
    if mode == "F":
        return encode(Image.fromarray((values / 3500).astype(np.float32)), "TIFF")
    picture = Image.fromarray(quarters(70, 50))
    if mode == "P":
        return encode(picture.quantize(4), "PNG", transparency=1)
    picture.putalpha(Image.fromarray((values % 256).astype(np.uint8)))
    return encode(picture, "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "P", "I;16", "F"])
@pytest.mark.parametrize("pixels", [1, 333, 3500])
def test_strips_change_nothing(mode: str, pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = large_of_its_kind(mode)
    whole = decode(data, 40)
    monkeypatch.setattr("featurestore._decode.STRIP_PIXELS", pixels)
    in_strips = decode(data, 40)
    np.testing.assert_array_equal(whole.pixels, in_strips.pixels)
    np.testing.assert_array_equal(whole.thumbnail, in_strips.thumbnail)


def plain_ppm(side: int) -> bytes:
    return b"P3 %d %d 255\n" % (side, side) + b"220 30 40 " * side**2


def ppm_of_many_levels(side: int) -> bytes:
    return b"P6 %d %d 1023\n" % (side, side) + struct.pack(">3H", 883, 120, 160) * side**2


@pytest.mark.parametrize("write", [plain_ppm, ppm_of_many_levels])
def test_what_is_decoded_in_python_must_not_be_large(write: Callable[[int], bytes]) -> None:
    assert_color(write(40), RED)
    with pytest.raises(Undecodable, match=r"^\d,\d+,\d+ bytes in a kind of PPM that takes too lo"):
        decode(write(900), 32)
    assert_color(encode(Image.new("RGB", (1300, 1300), RED), "PPM"), RED)


HOLDS = """
import resource, sys
from pathlib import Path
from featurestore._decode import decode
data = Path(sys.argv[1]).read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode(data, 224)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in other units elsewhere")
@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_the_largest_images_take_less_than_a_gibibyte(mode: str, tmp_path: Path) -> None:
    """A small file can hold one; whoever decodes several at a time needs that each."""
    color = (200, 30, 40, 128) if mode == "RGBA" else 500
    path = tmp_path / "large.png"
    path.write_bytes(encode(Image.new(mode, (9_400, 9_400), color), "PNG", compress_level=1))
    # The peak of a process begins as its parent's: a shell in between is small.
    command = shlex.join([sys.executable, "-c", HOLDS, str(path)])
    held = subprocess.run(["sh", "-c", f"{command} && true"], stdout=subprocess.PIPE, check=True)
    assert int(held.stdout) < 1024


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (48, 48), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert_color(data, RED)


def test_the_thumbnail_is_the_area_mean() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    thumbnail = decode(encode(Image.fromarray(picture), "PNG"), 96).thumbnail
    means = picture.reshape(32, 3, 32, 4, 3).mean(axis=(1, 3))
    assert np.abs(thumbnail - means).max() <= 1


def test_shrinking_averages_what_the_backbone_sees() -> None:
    checkers = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = decode(encode(Image.fromarray(checkers), "PNG"), 50).pixels
    np.testing.assert_allclose(pixels[2:-2, 2:-2].astype(int), 128, atol=3)


@pytest.mark.parametrize("size", [96, 160, 224])
def test_decoding_at_a_reduced_size_is_nearly_full_decoding(size: int) -> None:
    grains = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    photo = Image.fromarray(grains).resize((960, 720), Image.Resampling.BICUBIC)
    data = encode(photo, "JPEG", quality=90)
    full = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    lossless = encode(Image.fromarray(full), "PNG", compress_level=1)
    quick, slow = decode(data, size), decode(lossless, size)
    assert (quick.width, quick.height) == (960, 720)
    assert np.abs(quick.pixels.astype(int) - slow.pixels).mean() < 1
    assert np.abs(quick.thumbnail.astype(int) - slow.thumbnail).mean() < 4


@pytest.mark.parametrize("side", [32, 48, 100, 300])
def test_a_larger_tensor_is_resampled_as_a_backbone_sees_it(side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    image = Image.fromarray(picture)
    larger = decode(encode(image, "PNG"), 40, larger=(side,)).larger
    assert larger.keys() == {side}
    by_hand = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(larger[side], by_hand)


@pytest.mark.parametrize("file_format", ["JPEG", "MPO"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_larger_tensors_are_fine_and_upright_and_change_nothing_else(
    file_format: str, orientation: int
) -> None:
    grains = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    upright = Image.fromarray(grains).resize((960, 720), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(STORED[orientation](np.asarray(upright)))
    data = encode(stored, file_format, quality=95, subsampling=0, exif=exif)
    plain, more = decode(data, 40), decode(data, 40, larger=(96, 224))
    assert (plain.width, plain.height, plain.format) == (more.width, more.height, more.format)
    assert (more.width, more.height) == (960, 720)
    np.testing.assert_array_equal(plain.pixels, more.pixels)
    np.testing.assert_array_equal(plain.thumbnail, more.thumbnail)
    for side in (96, 224):
        by_hand = np.asarray(upright.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(more.larger[side] - by_hand).mean() < 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Not an image at all, but a text that somebody saved as a.jpg.\n" * 5,
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
    ],
    ids=["empty", "text", "web page", "program in PostScript"],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(NotImage):
        decode(data, 40)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_file_is_undecodable(file_format: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), file_format)
    with pytest.raises(Undecodable):
        decode(data[: int(share * len(data))], 40)


def test_a_corrupt_header_is_no_crash() -> None:
    data = bytearray(png_that_claims(4, 4))
    data[20] ^= 0xFF
    with pytest.raises((NotImage, Undecodable)):
        decode(bytes(data), 40)


def test_a_decompression_bomb_is_too_large() -> None:
    with pytest.raises(TooLarge):
        decode(png_that_claims(20_000, 20_000), 40)


# The package ignores this warning, and pytest takes that back for each test.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_460, 13_000])
def test_an_image_over_the_limit_is_too_large(side: int) -> None:
    assert MAX_PIXELS < side * side < 2 * MAX_PIXELS
    with pytest.raises(TooLarge, match=f"{side} x {side} px"):
        decode(png_that_claims(side, side), 40)


def assert_image_or_failure(data: bytes) -> None:
    outcome: Decoded | RecordFailure
    try:
        outcome = decode(data, 40)
    except RecordFailure as failure:
        outcome = failure
    if isinstance(outcome, Decoded):
        assert outcome.pixels.shape == (40, 40, 3)
    else:
        assert outcome.kind in {"not_image", "undecodable", "too_large"}
        assert "\n" not in str(outcome)


MAGICS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\1\0\0WEBP", b"BM", b"P6 "]


@given(magic=st.sampled_from(MAGICS), data=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_give_an_image_or_a_failure(magic: bytes, data: bytes) -> None:
    assert_image_or_failure(magic + data)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_flipped_bits_give_an_image_or_a_failure(
    file_format: str, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(Image.fromarray(quarters()), file_format))
    for place, mask in flips:
        data[place % len(data)] ^= mask
    assert_image_or_failure(bytes(data))
