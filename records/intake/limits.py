"""What content from outside may announce or unpack to; checked before anything is allocated."""

from dataclasses import dataclass


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
