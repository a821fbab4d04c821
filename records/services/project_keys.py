"""The keys under which the images of a project are de-identified."""

import hmac

from django.conf import settings


def project_key(project: str) -> bytes:
    """The key of a project, derived from the installation's own; it is stored nowhere.

    Names that differ by case or spaces alone are one project.
    """
    name = " ".join(project.split()).casefold()
    master = (settings.DEIDENTIFICATION_KEY or settings.SECRET_KEY).encode()
    return hmac.digest(master, f"de-identification/{name}".encode(), "sha256")
