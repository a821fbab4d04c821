"""What content from outside may announce or unpack to; checked before anything is allocated."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """The limits that the readers of content keep, handed to them by whoever knows the settings.

    `file_size` is `file_bytes` as people write it. A deflated data set above
    `ratio_from_bytes` may unpack to `inflate_ratio` times its size at most. A header may take
    `header_seconds` of processor time to read.
    """

    file_bytes: int
    file_size: str
    frame_pixels: int
    image_pixels: int
    inflate_ratio: int
    header_seconds: int
    ratio_from_bytes: int = 64 * 1024 * 1024


def pixels_in_words(count: object) -> str:
    """A number of pixels as people say it; "too many pixels" where nobody counted them."""
    if not isinstance(count, int):
        return "too many pixels"
    if count < MILLION:
        return f"{count} pixels"
    return f"{count / MILLION:.1f}".removesuffix(".0") + " million pixels"
