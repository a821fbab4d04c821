"""Random changes of a displayed training image, drawn from a seeded generator."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from ml.workshop.task_config import AugmentationConfig
from ml.workshop.training import appearance

Generator = np.random.Generator
# Draws another image of the set, as it is shown.
DrawOther = Callable[[Generator], NDArray[np.uint8]]

RESAMPLINGS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


def augment_display(
    shown: NDArray[np.uint8],
    config: AugmentationConfig,
    rng: Generator,
    *,
    draw_other: DrawOther | None = None,
) -> NDArray[np.uint8]:
    """A randomly moved and re-exposed copy of the image, same size; outside is black.

    Each kind of change is left out now and then, so that the image as it is, with its full
    sharpness, stays among what the network learns from. `draw_other` gives the image whose style
    is taken on; without it none is.
    """
    if config.quarter_turns:
        shown = np.rot90(shown, int(rng.integers(0, 4)))
    image = Image.fromarray(np.ascontiguousarray(shown))
    if _draws(config.square_share, rng):
        image = appearance.cut_square(image)
    if rng.random() < config.move_share:
        image = _move(image, config, rng)
    if draw_other and _draws(config.style_share, rng):
        image = appearance.restyle(image, Image.fromarray(draw_other(rng)), config, rng)
    if rng.random() < config.equalize_share:
        image = ImageOps.equalize(image)
    image = _relight(image, config, rng)
    image = _soften(image, config, rng)
    if _draws(config.mark_share, rng):
        image = appearance.mark(image, rng)
    if rng.random() < config.erase_share:
        image = _erase(image, config, rng)
    image = _add_noise(image, config, rng)
    if _draws(config.compress_share, rng):
        image = appearance.compress(image, config, rng)
    return np.asarray(image)


def _draws(share: float, rng: Generator) -> bool:
    """Whether a change is made. One that is never made draws nothing, as if it were not there."""
    return share > 0 and rng.random() < share


def _relight(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Another light: its colour, exposure, and what of the field it reaches."""
    if _draws(config.constancy_share, rng):
        image = appearance.neutralise(image, rng)
    if _draws(config.colour_share, rng):
        image = appearance.recolour(image, config, rng)
    if rng.random() < config.expose_share:
        image = _expose(image, config, rng)
    return appearance.frame(image, rng) if _draws(config.frame_share, rng) else image


def _soften(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Another sharpness: blurred, coarser, or sharpened."""
    if _draws(config.blur_share, rng):
        return appearance.blur(image, config, rng)
    if rng.random() < config.resolution_share:
        return _coarsen(image, config, rng)
    if rng.random() < config.sharpen_share:
        return image.filter(
            ImageFilter.UnsharpMask(rng.uniform(0.5, 2), int(rng.integers(30, 150)), 0)
        )
    return image


def _add_noise(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    if rng.random() >= config.noise_share:
        return image
    strength = rng.uniform(0, config.noise) * 255
    clean = np.asarray(image, np.float32)
    noisy = clean + strength * rng.standard_normal(clean.shape, np.float32)
    return Image.fromarray(np.asarray(np.clip(noisy, 0, 255), np.uint8))


def _move(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Rotate, scale each axis, shift and flip in one resampling, bicubic so as not to blur.

    Enlarged, any part of the image may be the one shown: no corner of it can be relied upon.
    """
    angle = np.deg2rad(rng.uniform(-config.rotation_degrees, config.rotation_degrees))
    zoom = np.exp(rng.uniform(-config.zoom_in, config.zoom_out))
    aspect = np.exp(rng.uniform(-config.aspect, config.aspect) / 2)
    flip = -1.0 if config.flip and rng.random() < 0.5 else 1.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.diag([flip * zoom * aspect, zoom / aspect])
    size = np.array(image.size)
    shift = rng.uniform(-1, 1, 2) * (config.shift + max(0.0, 1 - zoom) / 2) * size
    offset = size / 2 + shift - matrix @ (size / 2)
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )


def _coarsen(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Reduce and enlarge again: how sharp a copy is says where it comes from, not what it shows."""
    share = config.min_resolution ** rng.random()
    small = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    down, up = rng.choice(RESAMPLINGS, 2)
    return image.resize(small, Image.Resampling(down)).resize(image.size, Image.Resampling(up))


def _erase(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Cover a rectangle with one level, so that no single place decides (DeVries 2017)."""
    size = np.array(image.size)
    sides = rng.uniform(0.1, config.erase_side, 2) * size
    left, top = rng.uniform(0, size - sides)
    box = (round(left), round(top), round(left + sides[0]), round(top + sides[1]))
    image.paste((int(rng.integers(0, 256)),) * len(image.getbands()), box)
    return image


def _expose(image: Image.Image, config: AugmentationConfig, rng: Generator) -> Image.Image:
    """Gamma, contrast about the middle, and brightness, as one table of 256 grey levels."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-config.gamma, config.gamma))
    levels = (levels - 0.5) * np.exp(rng.uniform(-config.contrast, config.contrast)) + 0.5
    levels = levels + rng.uniform(-config.brightness, config.brightness)
    table = np.clip(np.rint(levels * 255), 0, 255).astype(int).tolist()
    return image.point(table * len(image.getbands()))


def mix_batch(
    images: NDArray[np.float32],
    targets: NDArray[np.float32],
    config: AugmentationConfig,
    rng: Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blend a share of the images, and their labels alike, with others of the batch.

    Half of them as a whole (mixup, Zhang 2018), half by a pasted rectangle (CutMix, Yun 2019).
    """
    partners = rng.permutation(len(images))
    mixed, labels = images.copy(), targets.copy()
    rows, columns = images.shape[1:3]
    for row in np.flatnonzero(rng.random(len(images)) < config.mix_share):
        share = rng.beta(config.mix_alpha, config.mix_alpha)
        other = partners[row]
        if rng.random() < 0.5:
            mixed[row] = share * images[row] + (1 - share) * images[other]
        else:
            height, width = (round(side * (1 - share) ** 0.5) for side in (rows, columns))
            top, left = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
            place = (row, slice(top, top + height), slice(left, left + width))
            mixed[place] = images[(other, *place[1:])]
            share = 1 - height * width / (rows * columns)
        labels[row] = share * targets[row] + (1 - share) * targets[other]
    return mixed, labels
