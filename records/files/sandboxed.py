"""The sandbox in which this installation reads files: its limits come from the settings."""

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from records.dicom.reading.limits import ContentLimits
from records.dicom.sandbox.calls import Sandbox, SandboxLimits
from records.files.spool import spool_directory


def read_limits() -> SandboxLimits:
    """What content may announce and take, as the settings say now."""
    content = ContentLimits(
        file_bytes=settings.INTAKE_MAX_FILE_BYTES,
        file_size=filesizeformat(settings.INTAKE_MAX_FILE_BYTES),
        frame_pixels=settings.INTAKE_MAX_FRAME_PIXELS,
        image_pixels=settings.INTAKE_MAX_IMAGE_PIXELS,
        inflate_ratio=settings.INTAKE_ZIP_MAX_RATIO,
        header_seconds=settings.DECODING_SECONDS,
    )
    return SandboxLimits(content, memory_bytes=settings.DECODING_MEMORY_BYTES)


sandbox = Sandbox(
    settings.DECODING_CHILDREN, limits=read_limits, spool=spool_directory, in_words=filesizeformat
)
