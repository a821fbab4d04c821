"""Whether this installation can work: settings, services, files, models, asked one by one.

Nothing is changed: what is written to Redis and the store to see that it can be is removed again.
"""

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
from medimaging.doctor.examining import DEADLINE_S, Examination, Report, examine_all
from medimaging.doctor.findings import Finding, Level, Secrets

__all__ = ["DEADLINE_S", "EXAMINATIONS", "Finding", "Level", "Report", "examine"]

EXAMINATIONS = [
    Examination("Settings", configured.examine),
    Examination("PostgreSQL", database.examine),
    Examination("Redis", queue.examine),
    Examination("Images", images.examine),
    Examination("Models", models.examine),
    Examination("Mail", mail.examine),
    Examination("TLS of DICOM", certificates.examine),
    Examination("Ports", listening.examine),
    Examination("Installation", installed.examine),
    Examination("Running parts", installed.examine_parts),
]


def examine(*, deadline_s: float = DEADLINE_S) -> Report:
    """Examine everything within `deadline_s`; no secret is in what is returned."""
    secrets = Secrets(load())
    report = examine_all(EXAMINATIONS, deadline_s=deadline_s)
    cut = {name: secrets.cut_all(found) for name, found in report.findings.items()}
    return Report(cut, report.is_stuck)
