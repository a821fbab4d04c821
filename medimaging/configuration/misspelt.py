"""Names that are none of ours, and probably were meant to be."""

import difflib
import re
from collections.abc import Collection, Iterable

from medimaging.configuration.table import VARIABLES

OURS = (
    *("AUDIT_SEAL_", "BUNDLE_", "CLASSIFICATION_", "DECODING_", "DEIDENTIFICATION_", "DICOM_"),
    *("EXPORT_", "IMAGES_S3_", "INFERENCE_", "INTAKE_", "MEDIMAGING_", "RETENTION_"),
)
"""How no other program's variables begin."""
OF_OTHERS = (
    *("AWS_", "CELERY_", "COMPOSE_", "CUDA_", "DJANGO_", "DOCKER_", "GUNICORN_", "KERAS_"),
    *("MALLOC_", "NVIDIA_", "OMP_", "OPENVINO_", "OV_", "PG", "PYTHON", "REQUESTS_", "SSL_"),
    *("TF_", "XLA_"),
)
"""How variables begin that libraries and tools of ours read by themselves."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "PATH", "HOME", "TZ", "LANG")
OF_AN_ORCHESTRATOR = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP)(_\w+)?$")
NEAR = 0.86


def unknown_in_file(names: Iterable[str]) -> list[str]:
    """Those of `.env` that nothing reads: whoever wrote them there meant something."""
    return [
        name
        for name in names
        if name not in VARIABLES and not name.startswith(OF_OTHERS) and name.upper() not in PROXIES
    ]


def unknown_in_environment(names: Iterable[str]) -> list[str]:
    """Those that begin as ours do, or come close to one; the environment has many others."""
    return [
        name
        for name in names
        if name not in VARIABLES
        and not name.startswith(OF_OTHERS)
        and not OF_AN_ORCHESTRATOR.search(name)
        and (name.upper().startswith(OURS) or meant(name))
    ]


def meant(name: str, known: Collection[str] = VARIABLES.keys()) -> str:
    """The variable that `name` comes close to, or nothing."""
    (found,) = difflib.get_close_matches(name.upper(), known, n=1, cutoff=NEAR) or ("",)
    return found
