"""Values that the trail keeps for those who have to answer for them: encrypted at rest."""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

PURPOSE = b"accounts.sealing"


def seal_values(values: dict[str, Any]) -> str:
    """Return values that only AUDIT_SEAL_KEYS open; they hold what no log may show."""
    written = json.dumps(values, sort_keys=True, ensure_ascii=False).encode()
    return _box().encrypt(written).decode()


def open_values(sealed: str) -> dict[str, Any] | None:
    """Return what was sealed; None where it was sealed with none of the keys, or altered."""
    try:
        opened: dict[str, Any] = json.loads(_box().decrypt(sealed.encode()))
    except InvalidToken:
        return None
    return opened


def make_box(keys: Iterable[str], *, purpose: bytes) -> MultiFernet:
    """Return what seals with the first key and opens with any, apart from every other purpose."""
    return MultiFernet([Fernet(_derived(key, purpose)) for key in keys])


def _box() -> MultiFernet:
    """Without keys of its own the trail is sealed with the secret ones."""
    secrets = [settings.DIGEST_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return make_box(settings.AUDIT_SEAL_KEYS or secrets, purpose=PURPOSE)


def _derived(key: str, purpose: bytes) -> bytes:
    digest = hashlib.blake2b(key.encode(), person=purpose[:16], digest_size=32).digest()
    return base64.urlsafe_b64encode(digest)
