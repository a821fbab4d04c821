"""Whether this installation can work: settings, services, files, models, asked one by one.

Nothing is changed: what is written to Redis and the store to see that it can be is removed again.
"""

from functools import partial
from pathlib import Path

from medimaging.configuration import load
from medimaging.doctor import (
    certificates,
    configured,
    database,
    images,
    installed,
    listening,
    mail,
    models,
    queue,
)
from medimaging.doctor.configured import examine_file
from medimaging.doctor.examining import DEADLINE_S, Examination, Report, examine_all
from medimaging.doctor.findings import Finding, Level, Secrets

__all__ = ["DEADLINE_S", "EXAMINATIONS", "Finding", "Level", "Report", "examine"]

EXAMINATIONS = [
    Examination("Settings", configured.examine),
    Examination("PostgreSQL", database.examine),
    Examination("Redis", queue.examine),
    Examination("Images", images.examine),
    Examination("Models", models.examine, is_slow=True),
    Examination("Mail", mail.examine),
    Examination("TLS of DICOM", certificates.examine),
    Examination("Ports", listening.examine),
    Examination("Installation", installed.examine),
    Examination("Running parts", installed.examine_parts),
]


def examine(*, env_file: Path | None = None, deadline_s: float = DEADLINE_S) -> Report:
    """Examine everything within `deadline_s`; no secret is in what is returned.

    `env_file` is looked at too, where the settings in it are those of other processes.
    """
    secrets, asked = Secrets(load()), list(EXAMINATIONS)
    if env_file:
        asked.insert(0, Examination("File of settings", partial(examine_file, env_file)))
    report = examine_all(asked, deadline_s=deadline_s)
    cut = {name: secrets.cut_all(found) for name, found in report.findings.items()}
    return Report(cut, report.is_stuck)
