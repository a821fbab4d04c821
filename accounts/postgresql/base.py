"""The engine that DATABASES names."""

from typing import Any

from django.db.backends.postgresql import base

from accounts.postgresql.waiting import check_server, waiting_at_most

CONNECT_S = 1.75
USABLE_S = 1.0
"""After so long a connection that was at rest counts as lost, and another one is made."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, whose threads give up on a server that says nothing."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; raises OperationalError at once while the server answers nobody."""
        check_server()
        with waiting_at_most(CONNECT_S):
            return super().get_new_connection(conn_params)

    def is_usable(self) -> bool:
        """Tell whether a connection that was at rest still leads to the server."""
        with waiting_at_most(USABLE_S):
            return super().is_usable()

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor; raises OperationalError at once while the server answers nobody."""
        check_server()
        return super().create_cursor(name)
