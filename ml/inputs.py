"""What a network is shown of an image, which images it is for, and which headers mean its task."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What the network sees: a square of `size` pixels, `grey` or `rgb`.

    `contrast` is `stretched` (the darkest and brightest hundredth go to the ends of the range, so
    that exposure and windowing don't count) or `as_shown`. `hu_window` is the center and width in
    Hounsfield units through which a CT is read, whatever window its header names for people;
    without one an image is read as it is shown. `hu_channels` are three such windows inside it, one
    for each channel of an `rgb` input: a picture, which has none of its own, is taken as shown
    through `hu_window`. `grey_levels` says how any other grey image with more levels than a picture
    is read: `voi`, through the window of its header, or `values`, by percentiles of its anatomy.
    `shrink` is `triangle`, one filter from whatever size an image has, or `area`: whole pixels are
    averaged first, as far as twice the size. That is faster, the same for images of less than four
    times the size, and nearly so for larger ones.
    """

    size: int
    colour: str
    contrast: str
    hu_window: tuple[float, ...] | None = None
    hu_channels: tuple[tuple[float, ...], ...] | None = None
    grey_levels: str = "voi"
    shrink: str = "triangle"

    @property
    def reads_grey(self) -> bool:
        """Whether the images that it reads are grey, whatever channels are made of them."""
        return self.colour == "grey" or self.hu_channels is not None

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return 1 if self.colour == "grey" else 3


@dataclass(frozen=True, slots=True)
class ScopeConfig:
    """What an image must be to be classified at all; empty lists accept anything.

    `sexes` are values of Patient's Sex (0010,0040).
    `accepted_kinds` are kinds of rejects (`ml.workshop.rejects`) that this task takes after all.
    With `any_colour` grey images are taken as well as coloured ones, whatever the input's colour.
    `stranger_label` is the label that the rejects carry in the task's own data, so that the
    network names them and the gate leaves them alone; empty for none.
    """

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    excluded_views: tuple[str, ...]
    excluded_words: tuple[str, ...]
    min_age_years: float
    max_age_years: float
    min_side: int
    max_aspect_ratio: float
    max_validation_refusal: float
    accepted_kinds: tuple[str, ...] = ()
    sexes: tuple[str, ...] = ()
    any_colour: bool = False
    stranger_label: str = ""


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """Which headers mean the task, and what the body-part model calls its images.

    A header means it by one of `modalities` beside one of `words` as a word of its own (`*` at
    either end: any letters; what is one of `word_exceptions` counts for none), or by one of
    `sufficient_modalities` alone. `stated` is the modality and the body part that a person's word
    for the task amounts to. A series that means one of `yields_to` as well is for that alone. What
    is empty follows from the scope. `router_label` is the body-part model's label of such images,
    `image_name` what staff call one; `other_images` are such names by label, where no task reads
    them.
    """

    modalities: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    word_exceptions: tuple[str, ...] = ()
    sufficient_modalities: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    yields_to: tuple[str, ...] = ()
    router_label: str = ""
    image_name: str = ""
    other_images: dict[str, str] = field(default_factory=dict)


def input_rules(spec: InputConfig) -> dict[str, bool]:
    """What windows and grey levels must be, each with whether it is; the entry comes first."""
    windows = (spec.hu_window or (0.0, 2.0), *(spec.hu_channels or ()))
    are_windows = all(len(one) == 2 and 1 < one[1] < math.inf for one in windows)
    is_wide = are_windows and all(
        abs(one[0] - windows[0][0]) <= (windows[0][1] - one[1]) / 2 for one in windows[1:]
    )
    has_channels = spec.hu_channels is not None
    return {
        "input.hu_window and input.hu_channels must be centers and widths above 1": are_windows,
        "input.hu_channels must be three, of an rgb input": not has_channels
        or (len(windows) == 4 and spec.colour == "rgb"),
        "input.hu_channels must lie inside of input.hu_window": not has_channels
        or (spec.hu_window is not None and is_wide),
        "input.grey_levels must be voi or values": spec.grey_levels in ("voi", "values"),
        "input.shrink must be triangle or area": spec.shrink in ("triangle", "area"),
    }
