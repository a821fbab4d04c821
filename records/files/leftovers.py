"""What lies on a disc beside its images: the viewer, how it starts, words to the reader."""

import re
from pathlib import PurePosixPath

DIRECTORY = "dicomdir"
"""A disc's table of contents; whatever holds one is a disc."""

STEMS = frozenset(
    {"autorun", "changelog", "copying", "copyright", "licence", "license", "readme", "version"}
)
PROGRAMS = frozenset(
    (
        *("app", "bat", "cab", "class", "cmd", "com", "dll", "dylib", "exe", "ico", "inf", "ini"),
        *("jar", "lnk", "manifest", "msi", "ocx", "plist", "reg", "scr", "sh", "so", "sys"),
    )
)
IMAGE_SUFFIXES = frozenset(
    (
        *("7z", "acr", "bmp", "dcm", "dic", "dicom", "gif", "gz", "heic", "heif", "ima", "img"),
        *("j2k", "jp2", "jpe", "jpeg", "jpg", "nii", "nrrd", "png", "rar", "tar", "tgz", "tif"),
        *("tiff", "webp", "zip"),
    )
)
# A file of DICOM needs no suffix, and some are named by their UID or their number.
NUMBERED = re.compile(r"[\d.]+")


def is_directory(name: str) -> bool:
    """Whether a path is that of a disc's table of contents."""
    return PurePosixPath(name.replace("\\", "/")).name.lower() == DIRECTORY


def is_leftover(name: str, *, is_on_disc: bool) -> bool:
    """Whether a file that is no image is one that nobody misses, by its name or its path.

    Anything may lie on a disc, but what is named like an image should have been one.
    """
    path = PurePosixPath(name.replace("\\", "/").lower())
    suffix = path.suffix.removeprefix(".")
    if path.name.partition(".")[0] in STEMS or suffix in PROGRAMS:
        return True
    is_like_image = not suffix or suffix in IMAGE_SUFFIXES or NUMBERED.fullmatch(path.name)
    return is_on_disc and not is_like_image
