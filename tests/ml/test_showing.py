"""What the network looked at: activation maps, their colours, and the input it was given."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.explanation import make_activation_maps, measure_evidence
from ml.explanation.body import SIDE, find_body
from ml.images import read_frames, to_display
from ml.inputs import InputConfig
from ml.overlay import render_activation
from ml.preprocessing import prepare_display
from tests.ml.conftest import ROOT

GREY = InputConfig(size=64, colour="grey", contrast="as_shown")


def test_make_activation_maps_peaks_where_the_label_is_supported() -> None:
    maps = np.zeros((4, 4, 3), np.float32)
    maps[1, 2, 0] = 5
    maps[3, 0, 1] = 2
    kernel = np.array([[1.0, -1.0], [0.5, 3.0], [0.0, 0.0]], np.float32)
    first, second = make_activation_maps(maps, kernel)
    assert first[1, 2] == 1
    assert first[3, 0] == pytest.approx(0.2)
    assert second[1, 2] == 0
    assert second[3, 0] == 1


def test_make_activation_maps_is_zero_when_nothing_supports_a_label() -> None:
    maps = make_activation_maps(np.ones((2, 2, 1), np.float32), np.array([[-1.0]], np.float32))
    assert maps.tolist() == [[[0, 0], [0, 0]]]


def test_render_activation_is_clear_where_nothing_was_seen_and_bright_where_most_was() -> None:
    activation = np.zeros((5, 5))
    activation[2, 2] = 1
    layer = render_activation(activation, size=(100, 150))
    assert layer.shape == (100, 150, 4)
    assert layer.dtype == np.uint8
    assert layer[2, 2, 3] == 0
    assert layer[50, 75, 3] == layer[..., 3].max() > 120
    brightness = layer[..., :3].astype(int).sum(axis=2)
    assert brightness[50, 75] > brightness[2, 2]


@pytest.mark.parametrize("wrong", [np.full((2, 2), 1.5), np.full((2, 2), np.nan), np.zeros(4)])
def test_render_activation_refuses_when_values_are_no_map(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        render_activation(wrong, size=(4, 4))


def test_render_activation_keeps_to_one_scale_when_a_map_is_faint() -> None:
    faint = render_activation(np.full((4, 4), 0.01), size=(40, 40))
    assert faint[..., 3].max() <= 2


def test_measure_evidence_peaks_at_the_probability_on_the_body() -> None:
    shown = np.zeros((64, 64), np.uint8)
    shown[16:] = 200
    activation = np.zeros((4, 4), np.float32)
    activation[0, 0], activation[2, 2] = 1, 0.5
    evidence = measure_evidence(activation, probability=0.8, shown=shown)
    # The map's own peak lay in the air.
    assert evidence.grid[0, 0] == 0
    assert evidence.peak == pytest.approx(0.4)
    with pytest.raises(ValueError, match="probability"):
        measure_evidence(activation, probability=1.2, shown=shown)


def show(name: str, number: int = 1) -> np.ndarray:
    return to_display(read_frames(ROOT / "samples" / name / f"{number:02}.dcm")[0])


@pytest.mark.parametrize(
    ("name", "air", "body"),
    [
        ("brain-glioma", (2, 2), (14, 16)),
        # Above a shoulder, and a lung that is as dark.
        ("chest-normal-adult-2", (3, 4), (16, 10)),
        ("chest-tuberculosis-1", (25, 0), (20, 8)),
        # The window makes the lungs as black as the air, and the ribs leave gaps.
        ("lung-ct-malignant", (4, 16), (16, 12)),
    ],
)
def test_find_body_tells_air_from_what_it_encloses(
    name: str, air: tuple[int, int], body: tuple[int, int]
) -> None:
    found = find_body(show(name))
    assert not found[air]
    assert found[body]
    inverted = find_body(255 - show("skin-drawn")[..., 0])
    assert inverted.shape == (SIDE, SIDE)


def test_find_body_takes_all_for_body_when_there_is_no_air() -> None:
    for shown in (show("skin-drawn"), np.full((40, 60), 255, np.uint8), np.zeros((9, 9), np.uint8)):
        assert find_body(shown).all()
    # Its corners are outside, its black surroundings too; the retina's own dark parts aren't.
    eye = find_body(show("eye-drawn"))
    assert not eye[0, 0]
    assert eye[8:24, 8:24].all()


def test_prepare_display_gives_nearly_the_same_input_when_an_image_is_larger() -> None:
    rows, columns = np.mgrid[:64, :64]
    small = (128 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)
    large = np.kron(small, np.ones((30, 30), np.uint8))
    expected = prepare_display(small, GREY)
    assert expected.shape == (64, 64, 1)
    np.testing.assert_array_equal(expected[..., 0], small)
    assert np.abs(prepare_display(large, GREY) - expected).mean() < 1.5


def test_prepare_display_does_not_alias_when_it_reduces() -> None:
    checkers = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)
    shown = prepare_display(checkers, GREY)
    assert np.abs(shown - 127.5).max() < 6


def test_prepare_display_gives_three_channels_when_the_task_is_in_colour() -> None:
    colours = np.zeros((80, 80, 3), np.uint8)
    colours[..., 0] = 200
    shown = prepare_display(colours, InputConfig(size=64, colour="rgb", contrast="as_shown"))
    assert shown.shape == (64, 64, 3)
    assert shown[0, 0].tolist() == [200, 0, 0]


def test_prepare_display_gives_the_same_input_when_only_the_exposure_differs() -> None:
    spec = InputConfig(size=64, colour="grey", contrast="stretched")
    rng = np.random.default_rng(0)
    dark = rng.integers(40, 120, (64, 64)).astype(np.uint8)
    bright = (dark.astype(int) * 3 // 2 + 60).astype(np.uint8)
    found, expected = prepare_display(bright, spec), prepare_display(dark, spec)
    assert np.abs(found - expected).max() < 4
    assert (expected.min(), expected.max()) == (0, 255)


def test_prepare_display_keeps_a_blank_image_blank_when_it_stretches() -> None:
    spec = InputConfig(size=64, colour="grey", contrast="stretched")
    blank = np.full((80, 80), 77, np.uint8)
    assert np.ptp(prepare_display(blank, spec)) == 0


def draw_smooth(side: int) -> NDArray[np.uint8]:
    """Bright spots over a slope, as anatomy has: no noise of single pixels."""
    places = np.linspace(0, 6 * np.pi, side)
    waves = np.sin(places)[:, np.newaxis] * np.cos(1.7 * places)[np.newaxis]
    return np.rint(127 + 90 * waves + np.linspace(-30, 30, side)).astype(np.uint8)


@pytest.mark.parametrize("contrast", ["as_shown", "stretched"])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_area_gives_the_same_for_images_of_less_than_four_times_the_size(
    colour: str, contrast: str
) -> None:
    triangle = InputConfig(size=64, colour=colour, contrast=contrast)
    area = dataclasses.replace(triangle, shrink="area")
    noise = np.random.default_rng(3).integers(0, 256, (255, 200, 3)).astype(np.uint8)
    np.testing.assert_array_equal(prepare_display(noise, area), prepare_display(noise, triangle))


@pytest.mark.parametrize("side", [512, 1024, 3000])
def test_area_gives_nearly_the_same_for_large_images(side: int) -> None:
    triangle = InputConfig(size=64, colour="grey", contrast="as_shown")
    area = dataclasses.replace(triangle, shrink="area")
    shown = draw_smooth(side)
    difference = np.abs(prepare_display(shown, area) - prepare_display(shown, triangle))
    assert 0 < difference.max() <= 2
    assert difference.mean() < 0.5
