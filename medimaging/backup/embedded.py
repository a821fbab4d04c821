"""The quickstart's own database for a command that needs it, also while nothing else runs."""

import contextlib
import os
from collections.abc import Iterator

from django.conf import settings

from medimaging import addresses
from medimaging.backup.errors import DatabaseAway
from medimaging.backup.snapshots import connected, owner_address
from medimaging.quickstart import stack
from medimaging.quickstart.errors import QuickstartError
from medimaging.quickstart.programs import end, spawn
from medimaging.quickstart.services import EmbeddedPostgres


@contextlib.contextmanager
def database_running() -> Iterator[None]:
    """Start the embedded PostgreSQL for the block, if it is ours to start and doesn't run.

    Raises DatabaseAway.
    """
    if os.environ.get("DATABASE_URL") or _answers():
        yield
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(stack.only_run(settings.DATA_DIR))
            postgres = EmbeddedPostgres(settings.DATA_DIR)
            program = postgres.prepare()
            log = held.enter_context((addresses.run_dir(settings.DATA_DIR) / "log").open("w"))
            process = spawn(program, output=log)
            held.callback(end, process, stop_signal=program.stop_signal, patience_s=30)
            postgres.wait()
        except QuickstartError as error:
            raise DatabaseAway(reason=str(error)) from error
        yield


def _answers() -> bool:
    with contextlib.suppress(DatabaseAway), connected(owner_address()):
        return True
    return False
