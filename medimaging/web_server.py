"""Settings of gunicorn, for the quickstart and for containers alike."""

import os
from typing import Any

from medimaging import configuration
from medimaging.logs import ASKED, log_settings

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


def post_worker_init(worker: Any) -> None:
    """Have the decoders load while nobody waits yet: their processes come from this worker.

    What it refuses with is made of templates, which came with the application.
    """
    from medimaging.web_worker.refusals import Refusals
    from records.intake.isolation.calls import pool

    pool.start()
    worker.refusals = Refusals()


accesslog = "-"
# The route with our ids, not the address: what somebody typed into it is nobody's business.
access_log_format = f'%(h)s "%({{{ASKED}}}e)s" %(s)s %(b)s bytes %(M)s ms %({{x-request-id}}o)s'
logconfig_dict = log_settings(
    log_format=env.text("LOG_FORMAT"),
    level="INFO",
    loggers={
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True},
    },
)
