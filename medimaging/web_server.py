"""Settings of gunicorn, for the quickstart and for containers alike."""

import os
from typing import Any

from medimaging import configuration
from medimaging.logs import log_settings

env = configuration.load()
bind = env.listed("WEB_BIND")
worker_class = "medimaging.web_worker.worker.BoundedWorker"
workers = env.whole("WEB_CONCURRENCY")
# Beside them come those that move files, and wait for their clients meanwhile.
threads = env.whole("WEB_THREADS")
worker_connections = env.whole("WEB_CONNECTIONS")
# The worker reads heads by it too, and needs it not to read further.
http_parser = "python"
# Load once, then fork: the workers share what doesn't change.
preload_app = True
timeout = 120
graceful_timeout = 8
keepalive = 5
# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108 - no file of ours
# Whoever can reach this socket is our own proxy; settings decide what its headers are worth.
forwarded_allow_ips = "*" if env.whole("TRUSTED_PROXIES") else "127.0.0.1"

# It would lie in the home of whoever runs the server; signals and health checks are enough.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Have the workers count where this process finds it: they are started after this."""
    from medimaging.metrics import processes

    processes.begin()


def post_worker_init(worker: Any) -> None:
    """Have the decoders load while nobody waits yet: their processes come from this worker.

    What it refuses with is made of templates, which came with the application.
    """
    from medimaging.heartbeats import start_beating
    from medimaging.web_worker.refusals import Refusals
    from records.files.sandboxed import sandbox
    from records.files.stores import announce_store

    sandbox.pool.start()
    announce_store()
    worker.refusals = Refusals()
    start_beating("web")


def when_ready(server: Any) -> None:
    """Say once in the log by which release pages are served."""
    from medimaging.release import VERSION

    server.log.info("The web server is ready (release %s)", VERSION)


def worker_exit(server: Any, worker: Any) -> None:
    """Stop counting as somebody who lives."""
    from medimaging.heartbeats import stop_beating

    stop_beating()


accesslog = "-"
# It writes the route with our ids, not the address: what somebody typed is nobody's business.
logger_class = "medimaging.access_log.AccessLog"
logconfig_dict = log_settings(
    log_format=env.text("LOG_FORMAT"),
    level="INFO",
    loggers={
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
)
