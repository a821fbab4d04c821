"""One line for each request: what was asked, by whom, and what came of it. Never a query."""

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger

from medimaging import logs
from medimaging.logs import Facts
from medimaging.metrics.http import observe_request

logger = logging.getLogger(__name__)


class AccessLog(Logger):
    """gunicorn's log, with our words for each request, which is counted here too."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Tell of a request whose answer has left."""
        self._tell(
            environ.get(logs.FACTS) or Facts(),
            address=environ.get("REMOTE_ADDR") or "-",
            status=int(str(resp.status).split(None, 1)[0]),
            sent=getattr(resp, "sent", None) or 0,
            seconds=request_time.total_seconds(),
        )

    def refused(
        self, *, address: str, method: str, status: HTTPStatus, code: str, reference: str, sent: int
    ) -> None:
        """Tell of a request that never got as far as the application."""
        method = method if method in logs.METHODS else "-"
        facts = Facts(method=method, asked=f"{method} -", code=code, request_id=reference)
        self._tell(facts, address=address or "-", status=status.value, sent=sent, seconds=0.0)

    def _tell(self, facts: Facts, *, address: str, status: int, sent: int, seconds: float) -> None:
        try:
            observe_request(method=facts.method, route=facts.route, status=status, seconds=seconds)
            milliseconds = round(seconds * 1000)
            who = "".join(f" {name}={value}" for name, value in _who(facts).items() if value)
            self.access_log.info(
                '%s "%s" %d %d bytes %d ms%s %s',
                *(address, facts.asked, status, sent, milliseconds, who, facts.request_id),
                extra=logs.told(
                    method=facts.method,
                    route=facts.route,
                    status=status,
                    ms=milliseconds,
                    bytes=sent,
                    request_id=facts.request_id,
                    **_who(facts),
                ),
            )
        except Exception:
            logger.exception("A request can't be told of")


def _who(facts: Facts) -> dict[str, str]:
    return {"user": facts.user, "token": facts.token, "code": facts.code}
