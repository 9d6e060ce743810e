"""Random backgrounds in relative units: the same numbers draw the same picture at any resolution.

The draws never depend on the resolution. Edges are area-filtered over a pixel, so nothing aliases.
"""

import colorsys
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grid = NDArray[np.float64]

BACKGROUNDS = ("flat", "gradient", "textured")


def pick(rng: np.random.Generator, count: int) -> int:
    """An index below `count`, from one uniform double: its stream is the stablest numpy has."""
    return int(rng.random() * count)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform on `[low, high)`."""
    return low + (high - low) * rng.random()


def draw_background(rng: np.random.Generator, resolution: int) -> tuple[int, np.ndarray]:
    """Index into BACKGROUNDS and its picture, float32 `[R, R, 3]` in 0..255."""
    label = pick(rng, len(BACKGROUNDS))
    first, second = _colour(rng), _colour(rng)
    second = first + between(rng, 0.4, 1.0) * (second - first)
    mix = (_flat, _gradient, _texture)[label](rng, resolution)
    return label, (first + mix[:, :, None] * (second - first)).astype(np.float32)


def _colour(rng: np.random.Generator) -> Grid:
    rgb = colorsys.hsv_to_rgb(rng.random(), between(rng, 0.05, 0.7), between(rng, 0.35, 1.0))
    return 255.0 * np.array(rgb)


def _grid(resolution: int) -> tuple[Grid, Grid]:
    """Pixel centres relative to the middle of the picture: x `[1, R]`, y `[R, 1]`."""
    centres = (np.arange(resolution) + 0.5) / resolution - 0.5
    return centres[None, :], centres[:, None]


def _flat(rng: np.random.Generator, resolution: int) -> Grid:
    return np.zeros((resolution, resolution))


def _gradient(rng: np.random.Generator, resolution: int) -> Grid:
    x, y = _grid(resolution)
    if pick(rng, 2):
        angle = between(rng, 0.0, 2 * math.pi)
        along = math.cos(angle) * x + math.sin(angle) * y
        return 0.5 + along / (abs(math.cos(angle)) + abs(math.sin(angle)))
    centre_x, centre_y = between(rng, -0.4, 0.4), between(rng, -0.4, 0.4)
    return np.hypot(x - centre_x, y - centre_y) / between(rng, 0.9, 1.3)


def _texture(rng: np.random.Generator, resolution: int) -> Grid:
    return (_noise, _noise, _stripes, _checks)[pick(rng, 4)](rng, resolution)


def _noise(rng: np.random.Generator, resolution: int) -> Grid:
    """Smooth noise of two octaves: random grids of 4 and 8 cells, bicubically enlarged."""
    return (2 * _octave(rng, 4, resolution) + _octave(rng, 8, resolution)) / 3


def _octave(rng: np.random.Generator, cells: int, resolution: int) -> Grid:
    # Eight bits: Pillow resamples them in integers, which every machine rounds alike.
    values = (256 * rng.random((cells, cells))).astype(np.uint8)
    enlarged = Image.fromarray(values).resize((resolution,) * 2, Image.Resampling.BICUBIC)
    return np.asarray(enlarged) / 255.0


def _stripes(rng: np.random.Generator, resolution: int) -> Grid:
    angle, period = between(rng, 0.0, math.pi), between(rng, 0.15, 0.5)
    return _square_wave(angle, period, rng.random(), resolution)


def _checks(rng: np.random.Generator, resolution: int) -> Grid:
    angle, period = between(rng, 0.0, math.pi), between(rng, 0.25, 0.6)
    rows = _square_wave(angle, period, rng.random(), resolution)
    columns = _square_wave(angle + math.pi / 2, period, rng.random(), resolution)
    return rows + columns - 2 * rows * columns


def _square_wave(angle: float, period: float, phase: float, resolution: int) -> Grid:
    """A 0/1 wave of equal halves, averaged over one pixel's width along its direction: `[R, R]`."""
    x, y = _grid(resolution)
    cycles = (math.cos(angle) * x + math.sin(angle) * y) / period + phase
    width = 1 / (resolution * period)
    return (_integral(cycles + width / 2) - _integral(cycles - width / 2)) / width


def _integral(cycles: Grid) -> Grid:
    whole = np.floor(cycles)
    return whole / 2 + np.minimum(cycles - whole, 0.5)
