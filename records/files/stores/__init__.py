"""Where the bytes of images lie: a directory or a bucket, named by content and written once."""

from records.files.stores.epochs import (
    Age,
    Ages,
    announce_store,
    begin_epoch,
    compare_ages,
    renew_epoch,
)
from records.files.stores.files import (
    DAMAGED,
    MARKER,
    PREFIXES,
    Alive,
    Listed,
    Spooled,
    WriteOnceStore,
    content_name,
    content_of,
    image_store,
)
from records.files.stores.presence import (
    adopt_store,
    check_store,
    ensure_store,
    forget_store,
    is_outage,
)

__all__ = [
    "DAMAGED",
    "MARKER",
    "PREFIXES",
    "Age",
    "Ages",
    "Alive",
    "Listed",
    "Spooled",
    "WriteOnceStore",
    "adopt_store",
    "announce_store",
    "begin_epoch",
    "check_store",
    "compare_ages",
    "content_name",
    "content_of",
    "ensure_store",
    "forget_store",
    "image_store",
    "is_outage",
    "renew_epoch",
]
