"""Keyed hashes: they tell whether two texts are the same, and to nobody without the key what."""

import hashlib
import hmac

from django.conf import settings

DIGEST_LENGTH = 32


def keyed_digest(text: str, *, purpose: str) -> str:
    """Hash `text` under the audit key; the digests of two purposes have nothing in common."""
    key = f"medimaging.{purpose}:{settings.AUDIT_KEY}".encode()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:DIGEST_LENGTH]
