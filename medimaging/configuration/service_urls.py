"""Addresses with accounts in them, taken apart without ever saying what was in one."""

import re
from dataclasses import dataclass

HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:(?P<port>[0-9]+))?")
LOOSE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
PASSWORD = (
    "a password in it has to be percent-encoded: "  # noqa: S105 - how to write one, and none
    "# as %23, / as %2F, ? as %3F, @ as %40, : as %3A, % as %25"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an address names, without its account."""

    host: str
    port: int | None
    path: str


def split(text: str, *, schemes: tuple[str, ...], also: tuple[str, ...] = ()) -> Parts:
    """Take an address apart. Raises ValueError with what is allowed, in words without its parts.

    `also` are schemes that are understood too, and not offered.
    """
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in (*schemes, *also):
        offered = " or ".join(f"{one}://" for one in schemes)
        raise ValueError(f"it has to begin with {offered}")
    if re.search(r"[\s\0]", text):
        raise ValueError("it must not hold spaces")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    account, at, server = authority.rpartition("@")
    is_cut = not at and ":" in authority and "@" in tail
    if "#" in rest or is_cut or LOOSE_PERCENT.search(account):
        raise ValueError(PASSWORD)
    found = HOST_AND_PORT.fullmatch(server)
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port < 65536):
        raise ValueError(f"after the host there has to be a port from 1 to 65535, and {PASSWORD}")
    return Parts(host=found["host"], port=port, path=tail.partition("?")[0])
