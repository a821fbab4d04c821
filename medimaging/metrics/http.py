"""How long requests take, by route; counted where the access log tells of them."""

from prometheus_client import Histogram

REQUEST_SECONDS = Histogram(
    "medimaging_http_request_seconds",
    "Seconds that a request had a thread, by method, route and class of status.",
    ("method", "route", "status"),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def observe_request(*, method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    REQUEST_SECONDS.labels(method, route, f"{status // 100}xx").observe(seconds)
