"""Pictures that look a little like radiographs. They show nobody: only gradients, ellipses and noise."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float64]
Pixels = NDArray[np.uint16]
Echo = NDArray[np.uint8]


def radiograph(part: str, seed: int, rows: int, columns: int) -> Pixels:
    """Return a 12-bit picture of `part`: chest, hand, knee or breast."""
    rng = np.random.default_rng(seed)
    y, x = _grid(rows, columns)
    tilt = 0.04 * rng.standard_normal()
    picture = _PARTS[part](y, x + tilt * y, rng)
    picture += 0.03 * x + 0.02 * y
    picture += 0.008 * rng.standard_normal(picture.shape)
    pixels: Pixels = np.round(np.clip(picture, 0, 1) * 4095).astype(np.uint16)
    return pixels


def echo(seed: int, rows: int, columns: int, phase: float = 0.0) -> Echo:
    """Return an 8-bit sector with speckle; `phase` moves the heart-like hollow in it."""
    rng = np.random.default_rng(seed)
    y, x = _grid(rows, columns)
    depth, angle = np.hypot(x, y + 1), np.arctan2(x, y + 1)
    sector = (np.abs(angle) < 0.7) & (depth > 0.25) & (depth < 1.95)
    hollow = _ellipse(y, x, 0.1, 0.05, 0.28 + 0.08 * np.sin(phase), 0.22 + 0.05 * np.cos(phase))
    speckle = 0.25 + 0.2 * rng.rayleigh(0.6, depth.shape)
    picture = speckle * (1.1 - 0.4 * depth) * (1 - 0.8 * hollow)
    pixels: Echo = np.round(np.clip(np.where(sector, picture, 0), 0, 1) * 255).astype(np.uint8)
    return pixels


def _grid(rows: int, columns: int) -> tuple[Picture, Picture]:
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    return y, x


def _ellipse(y: Picture, x: Picture, cy: float, cx: float, ry: float, rx: float, soft: float = 0.08) -> Picture:
    """Return 1 inside an ellipse and 0 outside, with a soft edge."""
    distance = np.sqrt(((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2)
    inside: Picture = np.clip((1 - distance) / soft, 0, 1)
    return inside


def _chest(y: Picture, x: Picture, rng: np.random.Generator) -> Picture:
    picture = 0.75 * _ellipse(y, x, 0.1, 0, 1.25, 0.95)
    wide = 0.36 + 0.02 * rng.standard_normal()
    for side in (-1, 1):
        lung = _ellipse(y, x, -0.1, side * 0.42, 0.72, wide, 0.25)
        ribs = 0.5 + 0.5 * np.sin(22 * (y + 0.35 * (np.abs(x) - 0.4) ** 2) + side * 0.4)
        picture -= lung * (0.5 - 0.14 * ribs**3)
        picture += 0.12 * _ellipse(y - 0.15 * np.abs(x), x, -0.86, side * 0.42, 0.04, 0.4, 0.5)
    picture += 0.3 * _ellipse(y, x, 0.25, 0.14, 0.36, 0.3, 0.4)
    picture += 0.18 * _ellipse(y, x, 0, 0, 1.3, 0.1, 0.4) * (0.8 + 0.2 * np.sin(30 * y))
    return picture


def _hand(y: Picture, x: Picture, rng: np.random.Generator) -> Picture:
    picture = 0.3 * _ellipse(y, x, 0.35, 0, 0.5, 0.5)
    for finger, lean in enumerate((-0.75, -0.38, 0.0, 0.36, 0.68)):
        across = x - lean * (0.55 - 0.6 * y) - 0.01 * rng.standard_normal()
        length = (0.5, 0.72, 0.8, 0.72, 0.6)[finger]
        picture += 0.25 * _ellipse(y, across, -0.2, 0, length, 0.12)
        for joint in range(4):
            picture += 0.4 * _ellipse(y, across, 0.45 - joint * length / 1.9, 0, length / 4.2, 0.055, 0.3)
    for bone in (-0.14, 0.14):
        picture += 0.45 * _ellipse(y, x, 1.0, bone, 0.34, 0.1, 0.3)
    return picture


def _knee(y: Picture, x: Picture, rng: np.random.Generator) -> Picture:
    gap = 0.05 + 0.01 * rng.standard_normal()
    picture = 0.35 * _ellipse(y, x, 0, 0, 1.6, 0.62)
    picture += 0.42 * _ellipse(y, x, -0.85, 0, 0.75, 0.24, 0.25)
    picture += 0.42 * _ellipse(y, x, 0.95, -0.03, 0.8, 0.22, 0.25)
    for side in (-1, 1):
        picture += 0.3 * _ellipse(y, x, -0.16 - gap, side * 0.19, 0.2, 0.2, 0.3)
        picture += 0.3 * _ellipse(y, x, 0.16 + gap, side * 0.18, 0.13, 0.2, 0.3)
    picture += 0.18 * _ellipse(y, x, -0.2, 0.02, 0.15, 0.14, 0.4)
    return picture


def _breast(y: Picture, x: Picture, rng: np.random.Generator) -> Picture:
    picture = 0.45 * _ellipse(y, x, 0, -1, 0.85, 1.35, 0.2)
    for _ in range(24):
        cy, cx = rng.uniform(-0.5, 0.5), rng.uniform(-0.9, 0.0)
        picture += 0.07 * _ellipse(y, x, cy, cx, rng.uniform(0.05, 0.3), rng.uniform(0.03, 0.2), 0.9)
    return picture


_PARTS = {"chest": _chest, "hand": _hand, "knee": _knee, "breast": _breast}
