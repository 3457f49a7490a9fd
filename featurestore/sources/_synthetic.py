"""A synthetic sample set: eight emotions, drawn by code, no photographs and no downloads.

Every picture is a small abstract scene (sky, ridges, strokes, shapes, texture, vignette) that
NumPy and Pillow paint from the seed ``sha256(name)``. One `Mood` per Mikels emotion says how
such a scene tends to look; the choices follow the visual correlates of emotion described by

- J. Machajdik, A. Hanbury: Affective image classification using features inspired by psychology
  and art theory, ACM Multimedia 2010 (colour, texture, composition, direction of lines);
- P. Valdez, A. Mehrabian: Effects of color on emotions, J. Exp. Psychology: General 123(4), 1994
  (pleasure = 0.69 brightness + 0.22 saturation, arousal = -0.31 brightness + 0.60 saturation,
  for standardized variables).

The numbers in the table are ours: chosen in the spirit of those papers, not measured by them, and
chosen so that the classes overlap. Each picture also borrows from a second emotion, and a known
share of the labels is wrong, so no classifier can reach 100 %. Use the set to test a pipeline and
to rank models against each other; a score on it says nothing about real photographs.

A picture is a pure function of its name for a given NumPy and Pillow (NumPy may change a
generator's stream between releases, Pillow the JPEG encoder).
"""

import hashlib
import io
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

IMAGES_PER_LABEL: Final = 200
LABEL_NOISE: Final = 0.08  # share of the names that show another emotion than their label
MIXTURE: Final = 0.5  # at most this share of a picture comes from a second emotion
STRAY_HUE: Final = 0.4  # share of the pictures whose colours do not follow the emotion
SUPERSAMPLING: Final = 2  # drawn twice as large, then averaged down: smooth edges
_CELLS: Final = 96  # side of the finest noise grid

Draw = ImageDraw.ImageDraw
Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Mood:
    """How pictures of one emotion tend to look: means, around which every picture varies.

    Shares and probabilities lie in 0..1, lengths are relative to the shorter side, angles in
    degrees from the horizontal.
    """

    hues: tuple[float, ...]  # degrees on the colour wheel; the first is the most common
    saturation: float
    brightness: float
    contrast: float  # brightness difference between figures and ground
    texture: float  # amplitude of the band-limited noise
    roughness: float  # gain per octave of that noise: 0 soft clouds, 1 grainy
    strokes: float  # number of strokes
    angle: float  # their direction, mirrored at random
    angle_spread: float  # standard deviation of that direction
    length: float
    width: float
    rays: float  # probability that the strokes radiate from one point
    shapes: float  # number of shapes
    size: float  # their radius
    roundness: float  # probability that a shape is round, not spiky
    wobble: float  # irregularity of the outline
    ridges: float  # number of hills in front of the sky
    ruggedness: float  # of their outline: 0 rolling, 1 jagged
    vignette: float  # how dark the corners are


# Horizontal lines read as calm, vertical ones as dignified, slanted ones as dynamic, and many
# directions as chaos (Machajdik & Hanbury on composition). Brightness raises pleasure, saturation
# raises arousal, darkness dominance (Valdez & Mehrabian). Round shapes for the pleasant and
# spiky ones for the threatening emotions are in the spirit of the literature on shape.
# fmt: off
MOODS: Final[dict[str, Mood]] = {
    # Pleasant, playful: bright, many hues, a party of round shapes, confetti in all directions.
    "amusement": Mood(
        hues=(48, 330, 190, 100), saturation=0.58, brightness=0.84, contrast=0.24,
        texture=0.06, roughness=0.35, strokes=9, angle=45, angle_spread=50, length=0.12,
        width=0.020, rays=0.05, shapes=13, size=0.085, roundness=0.9,
        wobble=0.03, ridges=0.4, ruggedness=0.2, vignette=0.08,
    ),
    # Unpleasant, aroused, dominant: saturated dark reds, hard contrast, thick slanted slashes.
    "anger": Mood(
        hues=(2, 18, 345), saturation=0.74, brightness=0.50, contrast=0.34,
        texture=0.17, roughness=0.75, strokes=17, angle=48, angle_spread=14, length=0.55,
        width=0.030, rays=0.15, shapes=5, size=0.13, roundness=0.15,
        wobble=0.15, ridges=0.5, ruggedness=0.8, vignette=0.35,
    ),
    # Vastness: a luminous sky over jagged peaks, light falling in rays, one sun or moon.
    "awe": Mood(
        hues=(215, 265, 32), saturation=0.50, brightness=0.66, contrast=0.22,
        texture=0.08, roughness=0.40, strokes=9, angle=80, angle_spread=18, length=0.70,
        width=0.018, rays=0.55, shapes=2, size=0.12, roundness=0.85,
        wobble=0.04, ridges=2.8, ruggedness=0.85, vignette=0.25,
    ),
    # Pleasant, calm: bright, softly saturated greens, rolling hills, horizontal lines, no noise.
    "contentment": Mood(
        hues=(105, 42, 190), saturation=0.42, brightness=0.76, contrast=0.12,
        texture=0.05, roughness=0.25, strokes=7, angle=4, angle_spread=9, length=0.45,
        width=0.016, rays=0.03, shapes=4, size=0.10, roundness=0.9,
        wobble=0.08, ridges=2.6, ruggedness=0.12, vignette=0.06,
    ),
    # Unpleasant green-yellow (the least pleasant hues for Valdez & Mehrabian), blotchy texture,
    # a rash of irregular blobs, short drips.
    "disgust": Mood(
        hues=(68, 82, 40), saturation=0.52, brightness=0.46, contrast=0.18,
        texture=0.17, roughness=0.55, strokes=8, angle=86, angle_spread=12, length=0.20,
        width=0.028, rays=0.03, shapes=15, size=0.075, roundness=0.9,
        wobble=0.38, ridges=0.5, ruggedness=0.4, vignette=0.25,
    ),
    # Pleasant, aroused: the most saturated warm hues, strong contrast, bursts and sharp stars.
    "excitement": Mood(
        hues=(22, 318, 52, 280), saturation=0.80, brightness=0.76, contrast=0.32,
        texture=0.08, roughness=0.50, strokes=20, angle=40, angle_spread=22, length=0.45,
        width=0.018, rays=0.55, shapes=9, size=0.080, roundness=0.35,
        wobble=0.08, ridges=0.4, ruggedness=0.6, vignette=0.10,
    ),
    # Threat: darkness closing in from the corners, cold dull hues, upright bars, spikes.
    "fear": Mood(
        hues=(245, 205, 130), saturation=0.34, brightness=0.32, contrast=0.18,
        texture=0.14, roughness=0.65, strokes=12, angle=84, angle_spread=8, length=0.75,
        width=0.030, rays=0.08, shapes=4, size=0.10, roundness=0.35,
        wobble=0.20, ridges=1.2, ruggedness=0.8, vignette=0.65,
    ),
    # Unpleasant, not aroused: dim, nearly grey blues, little contrast, thin rain, a flat horizon.
    "sadness": Mood(
        hues=(215, 230, 28), saturation=0.22, brightness=0.43, contrast=0.10,
        texture=0.09, roughness=0.35, strokes=22, angle=76, angle_spread=6, length=0.16,
        width=0.008, rays=0.02, shapes=2, size=0.09, roundness=0.8,
        wobble=0.10, ridges=1.4, ruggedness=0.15, vignette=0.35,
    ),
}
# fmt: on
_EMOTIONS: Final = tuple(MOODS)  # the position is the label id
_NUMBERS: Final = tuple(field.name for field in fields(Mood) if field.name != "hues")


def names() -> list[tuple[str, int]]:
    """Return the (name, label id) pairs of all pictures, sorted by name."""
    return [
        (f"sample:{emotion}/{number:04d}", label)
        for label, emotion in enumerate(_EMOTIONS)
        for number in range(IMAGES_PER_LABEL)
    ]


_LABELS: Final = dict(names())


def render(name: str) -> bytes:
    """Return the JPEG bytes of a picture; raise KeyError for a name that is not in the set."""
    label = _LABELS[name]
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()))
    return _encode(_paint(_appearance(label, rng), rng), quality=int(rng.integers(88, 93)))


def _appearance(label: int, rng: Generator) -> Mood:
    """Draw the mood of one picture: its emotion's, mixed with another's, randomly varied."""
    own, other = rng.permutation(np.delete(np.arange(len(_EMOTIONS)), label))[:2]
    if rng.random() >= LABEL_NOISE:
        own = label
    share = MIXTURE * float(rng.beta(1.0, 1.6))
    return _vary(_mix(MOODS[_EMOTIONS[own]], MOODS[_EMOTIONS[other]], share, rng), rng)


def _mix(own: Mood, other: Mood, share: float, rng: Generator) -> Mood:
    """Blend two moods; what cannot be averaged (hues, directions) comes from either one."""
    blend = {key: (1 - share) * getattr(own, key) + share * getattr(other, key) for key in _NUMBERS}
    colors, lines = ((other if rng.random() < share else own) for _ in range(2))
    lines_of = {"angle": lines.angle, "angle_spread": lines.angle_spread}
    return replace(own, **blend | lines_of, hues=colors.hues)


def _vary(mood: Mood, rng: Generator) -> Mood:
    """Scatter the means of a mood; the scatter is what makes neighbouring classes overlap."""
    factors = np.exp(rng.normal(0.0, 0.35, len(_NUMBERS))).tolist()
    varied = {key: getattr(mood, key) * f for key, f in zip(_NUMBERS, factors, strict=True)}
    varied["angle"] = mood.angle + rng.normal(0, 8)
    varied["saturation"] = np.clip(mood.saturation + rng.normal(0, 0.23), 0.05, 0.90)
    varied["brightness"] = np.clip(mood.brightness + rng.normal(0, 0.21), 0.24, 0.95)
    # Turning all hues together hides their meaning and keeps the palette harmonious.
    turn = rng.uniform(0, 360) if rng.random() < STRAY_HUE else 0.0
    first = int(len(mood.hues) * rng.random() ** 1.7)
    hues = mood.hues[first:] + mood.hues[:first]
    return replace(mood, **varied, hues=tuple(hue + turn for hue in hues))


def _paint(mood: Mood, rng: Generator) -> Image.Image:
    short, long = int(rng.integers(256, 311)), int(rng.integers(300, 411))
    size = (short, long) if rng.random() < 0.4 else (long, short)
    canvas = _sky(mood, rng, *size)
    draw = ImageDraw.Draw(canvas)
    extent = np.array(canvas.size)
    if rng.random() < mood.rays:
        _draw_rays(draw, extent, mood, rng)
        _draw_ridges(draw, extent, mood, rng)
    else:
        _draw_ridges(draw, extent, mood, rng)
        _draw_strokes(draw, extent, mood, rng)
    _draw_shapes(draw, extent, mood, rng)
    return _finish(canvas.reduce(SUPERSAMPLING), mood, rng)


def _colors(hues: Floats, lightness: Floats, mood: Mood, rng: Generator) -> Bytes:
    """Draw the colours of n things, uint8 (n, 3), `lightness` (n,) off the mood's brightness."""
    count = len(lightness)
    hue = hues + rng.normal(0, 10, count)
    saturation = np.clip(mood.saturation + rng.normal(0, 0.07, count), 0, 1)
    value = np.clip(mood.brightness + lightness + rng.normal(0, 0.03, count), 0.07, 1)
    sector = (np.array([[5], [3], [1]]) + hue / 60) % 6  # HSV to red, green, blue in closed form
    rgb: Floats = value * (1 - saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1))
    return (255 * rgb.T).astype(np.uint8)


def _accents(count: int, mood: Mood, rng: Generator) -> Floats:
    """Draw hues (count,) for figures, from the whole palette; the ground keeps to the first."""
    return np.array(mood.hues)[rng.integers(0, len(mood.hues), count)]


def _toward(angle: Floats) -> Floats:
    """Return unit vectors (..., 2) for angles (...) in radians."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _sky(mood: Mood, rng: Generator, width: int, height: int) -> Image.Image:
    """Return the supersampled canvas with a smooth gradient between four corner colours."""
    lift = 0.6 * mood.contrast * rng.choice((-1, 1)) * np.array([1, 1, -1, -1])
    hues = mood.hues[0] + rng.normal(0, 18, 4)
    grid = Image.fromarray(_colors(hues, lift, mood, rng).reshape(2, 2, 3))
    # A smooth gradient survives enlargement by repetition, which is far cheaper than filtering.
    half = grid.resize((width // 2, height // 2), Image.Resampling.BICUBIC)
    size = (SUPERSAMPLING * width, SUPERSAMPLING * height)
    return half.resize(size, Image.Resampling.NEAREST)


def _draw_ridges(draw: Draw, extent: Ints, mood: Mood, rng: Generator) -> None:
    """Draw layers of hills, darker the nearer, between a rolling and a jagged outline."""
    width, height = extent.tolist()
    count = int(rng.poisson(mood.ridges))
    horizon, rugged = rng.uniform(0.45, 0.7), min(mood.ruggedness, 1.0)
    depth = np.arange(1, count + 1) / max(count, 1)
    hues = mood.hues[0] + rng.normal(0, 20, count)
    colors = _colors(hues, -(0.05 + mood.contrast) * depth, mood, rng).tolist()
    x = np.linspace(0, 1, 49)
    for color, near in zip(colors, depth, strict=True):
        rolling = np.sin(2 * np.pi * (x * rng.uniform(0.6, 1.6) + rng.random()))
        peaks = np.interp(x, np.linspace(0, 1, 8), rng.uniform(-1, 1, 8))
        jagged = peaks + 0.25 * rng.uniform(-1, 1, x.size)
        profile = (1 - rugged) * rolling + rugged * jagged
        amplitude = (0.05 + 0.13 * rugged) * rng.uniform(0.6, 1.4)
        top = height * (horizon + (1 - horizon) * (near - 1 / count) + amplitude * profile)
        outline = np.column_stack([x * width, top]).ravel().tolist()
        draw.polygon([*outline, width, height, 0, height], fill=tuple(color))


def _draw_rays(draw: Draw, extent: Ints, mood: Mood, rng: Generator) -> None:
    """Draw wedges of light that radiate from one point."""
    count = 3 + int(rng.poisson(mood.strokes))
    center = extent * rng.uniform((0.2, 0.15), (0.8, 0.6))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.1, count)
    opening = np.pi / count * rng.uniform(0.3, 0.7)
    sides = angles[:, None] + np.array([-opening, opening])
    reach = (0.5 + mood.length) * extent.max()
    tips = (center + reach * _toward(sides)).reshape(count, 4)
    lightness = mood.contrast * rng.uniform(0.3, 0.9, count)
    colors = _colors(np.full(count, mood.hues[0]), lightness, mood, rng)
    for tip, color in zip(tips.tolist(), colors.tolist(), strict=True):
        draw.polygon([*center.tolist(), *tip], fill=tuple(color))


def _draw_strokes(draw: Draw, extent: Ints, mood: Mood, rng: Generator) -> None:
    """Draw lines in the mood's direction, slightly bent, all darker or all brighter."""
    short, count = extent.min(), int(rng.poisson(mood.strokes))
    angle = np.radians(rng.choice((-1, 1)) * rng.normal(mood.angle, mood.angle_spread, count))
    step = 0.5 * short * mood.length * rng.lognormal(0, 0.3, (count, 1)) * _toward(-angle)
    middle = rng.random((count, 2)) * extent
    bend = 0.1 * step[:, ::-1] * (-1, 1) * rng.uniform(-1, 1, (count, 1))
    lines = np.concatenate([middle - step, middle + bend, middle + step], axis=1)
    widths = np.maximum(2, short * mood.width * rng.lognormal(0, 0.4, count)).astype(int)
    lightness = rng.choice((-1, 1)) * mood.contrast * rng.uniform(0.5, 1.2, count)
    colors = _colors(_accents(count, mood, rng), lightness, mood, rng)
    for line, width, color in zip(lines.tolist(), widths.tolist(), colors.tolist(), strict=True):
        draw.line(line, fill=tuple(color), width=width)


def _draw_shapes(draw: Draw, extent: Ints, mood: Mood, rng: Generator) -> None:
    """Draw closed outlines r(theta): discs and blobs with a highlight, or stars."""
    count = int(rng.poisson(mood.shapes))
    theta = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    waves = np.sin(np.array([[2], [3]]) * theta)
    blob = 1 + mood.wobble * (rng.normal(0, 0.6, (count, 2)) @ waves)
    spikes = rng.integers(3, 8, (count, 1))
    star = 0.35 + 0.9 * np.abs(2 * (spikes * theta / (2 * np.pi) % 1) - 1) ** 1.5
    is_round = rng.random(count) < mood.roundness
    radius = extent.min() * mood.size * rng.lognormal(0, 0.35, (count, 1))
    outline = radius * np.where(is_round[:, None], blob, star)
    turned = theta + rng.uniform(0, 2 * np.pi, (count, 1))
    shapes = outline[..., None] * _toward(turned) + (rng.random((count, 2)) * extent)[:, None]
    middle = shapes.mean(axis=1, keepdims=True)
    highlights = middle + 0.6 * (shapes - middle) - 0.15 * radius[..., None]
    lightness = mood.contrast * rng.uniform(0.4, 1.2, count) * rng.choice((-1, 1), count)
    colors = _colors(_accents(count, mood, rng), lightness, mood, rng)
    lighter = colors + (255 - colors) // 5
    for i in range(count):
        draw.polygon(shapes[i].ravel().tolist(), fill=tuple(colors[i].tolist()))
        if is_round[i]:
            draw.polygon(highlights[i].ravel().tolist(), fill=tuple(lighter[i].tolist()))


def _finish(picture: Image.Image, mood: Mood, rng: Generator) -> Image.Image:
    """Multiply a picture by its texture, vignette and film grain."""
    edge = np.linspace(-1, 1, _CELLS, dtype=np.float32) ** 2
    shade = 1 + _noise(mood, rng) - 0.5 * min(mood.vignette, 0.9) * (edge + edge[:, None])
    # Fixed point, 128 for 1.0: the grain doubles as dither, so that no steps show.
    coarse = Image.fromarray(np.clip(128 * shade, 0, 224).astype(np.uint8))
    smooth = np.asarray(coarse.resize(picture.size, Image.Resampling.BILINEAR))
    white = np.frombuffer(rng.bytes(smooth.size), np.uint8).reshape(smooth.shape)
    strength = 2 + min(int(70 * mood.texture), 28)
    grain = (np.multiply(white, strength, dtype=np.uint16) >> 8).astype(np.uint8)
    bands = (Image.fromarray(smooth + grain),) * 3  # cheaper than broadcasting in NumPy
    factors = np.asarray(Image.merge("RGB", bands))
    pixels = np.multiply(np.asarray(picture), factors, dtype=np.uint16) >> 7
    return Image.fromarray(np.minimum(pixels, 255).astype(np.uint8))


def _noise(mood: Mood, rng: Generator) -> Floats:
    """Return band-limited noise, float32 (cells, cells), as strong as the mood's texture."""
    gain = float(np.clip(mood.roughness, 0.1, 1.0))
    cells, amplitude = _CELLS // 16, 1.0
    field = rng.random((cells, cells), dtype=np.float32)
    while cells < _CELLS:
        cells, amplitude = 2 * cells, gain * amplitude
        coarse = Image.fromarray(field).resize((cells, cells), Image.Resampling.BILINEAR)
        detail = rng.random((cells, cells), dtype=np.float32)
        field = np.asarray(coarse) + np.float32(amplitude) * detail
    field -= field.mean()
    return field * np.float32(mood.texture / field.std())


def _encode(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
