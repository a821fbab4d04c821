"""A client as a stranger writes it: made of the document by openapi-python-client.

Run by the environment of `make clients`, with the made package `medimaging_client` on its path.
"""

import io
import json
import sys
import time
import uuid
from pathlib import Path

from medimaging_client import AuthenticatedClient
from medimaging_client.api.classifications import (
    get_classification,
    list_classifications,
    review_classification,
)
from medimaging_client.api.studies import search_studies
from medimaging_client.api.submissions import create_submission
from medimaging_client.models import (
    ClassificationState,
    DecisionEnum,
    NewReviewRequest,
    NewSubmissionRequest,
    ReasonEnum,
    StudySearchRequest,
)
from medimaging_client.types import File

WAITING = {ClassificationState.QUEUED, ClassificationState.RUNNING}


def main(url: str, sender: str, reviewer: str, department: str, path: str) -> None:
    """Submit, poll, read, review, and print what came of it."""
    sending, reviewing = (
        AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
        for token in (sender, reviewer)
    )
    content = io.BytesIO(Path(path).read_bytes())
    wanted = NewSubmissionRequest(
        files=[File(payload=content, file_name="image.dcm")], department=department
    )
    submission = create_submission.sync(
        client=sending, body=wanted, idempotency_key=str(uuid.uuid4())
    )
    study = submission.files[0].study
    for _ in range(120):
        rows = list_classifications.sync(client=sending, study=study).results
        if rows and rows[0].status not in WAITING:
            break
        time.sleep(0.5)
    decision = NewReviewRequest(
        decision=DecisionEnum.UNINTERPRETABLE, reason=ReasonEnum.IMAGE_QUALITY
    )
    review_classification.sync(id=rows[0].id, client=reviewing, body=decision)
    seen = get_classification.sync(id=rows[0].id, client=reviewing)
    found = search_studies.sync(client=sending, body=StudySearchRequest(patient_id="CONTRACT-1"))
    answer = {
        "status": seen.status,
        "probabilities": seen.probabilities.to_dict(),
        "decision": seen.review.decision,
        "by": seen.conclusion.by,
        "study": str(seen.study),
        "found": [str(row.id) for row in found.results],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
