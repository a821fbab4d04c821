"""A client of tus as thin as can be, connections that break, and a look at what lies on disk."""

import base64
from pathlib import Path
from typing import Any

from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse

from records.files import partial
from records.models import Submission
from tests.dicom.files import make_dicom

BYTES = "application/offset+octet-stream"
CONTENT = make_dicom()
SIZE = len(CONTENT)
HALF = SIZE // 2


class Tus:
    """A client of the protocol, as thin as can be."""

    def __init__(self, client: Client, submission: Submission, committing: Any) -> None:
        self.client = client
        self.address = reverse("api-submission-upload-list", args=[submission.pk])
        self.committing = committing

    def send(self, method, address, body, headers, content_type=BYTES, **environment):
        with self.committing(execute=True):
            return self.client.generic(
                method, address, body, content_type, headers=headers, **environment
            )

    def create(self, size=SIZE, body=b"", name="ct.dcm", fingerprint="", **headers):
        metadata = {"filename": name} | ({"fingerprint": fingerprint} if fingerprint else {})
        pairs = [f"{key} {base64.b64encode(v.encode()).decode()}" for key, v in metadata.items()]
        stated = {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(size),
            "Upload-Metadata": ",".join(pairs),
        }
        return self.send("POST", self.address, body, stated | headers)

    def patch(self, address, offset, body, **headers):
        stated = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)} | headers
        return self.send("PATCH", address, body, stated)

    def head(self, address):
        return self.client.head(address, headers={"Tus-Resumable": "1.0.0"})

    def delete(self, address):
        return self.send("DELETE", address, b"", {"Tus-Resumable": "1.0.0"})

    def begun(self, body=CONTENT[:HALF], **options):
        """The address of an upload of which the first half has come."""
        return self.create(body=body, **options)["Location"]


class Breaking:
    """A connection that breaks after some of the bytes."""

    def __init__(self, content: bytes, after: int) -> None:
        self.left = content[:after]

    def read(self, size: int = -1, /) -> bytes:
        if not self.left:
            raise OSError("the connection broke")
        chunk, self.left = self.left[:size], self.left[size:]
        return chunk

    readline = read


def partial_directory() -> Path:
    return Path(storages["images"].path(partial.PARTIAL))


def partial_files() -> list[str]:
    directory = partial_directory()
    return [path.name for path in directory.iterdir()] if directory.exists() else []
