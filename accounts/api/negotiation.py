"""What a client accepts, where it decides nothing."""

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request


class AnyAccept(DefaultContentNegotiation):
    """For answers that are a file: what the client accepts decides nothing."""

    def select_renderer(
        self,
        request: Request,
        renderers: Any,
        format_suffix: str | None = None,
    ) -> Any:
        """Keep the first renderer, which writes the problems."""
        return renderers[0], renderers[0].media_type
