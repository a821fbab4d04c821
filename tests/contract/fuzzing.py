"""What schemathesis has to be told: how the bytes of a file are sent by tus."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def send_bytes(context: Any, value: Any) -> Any:
    """As they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
