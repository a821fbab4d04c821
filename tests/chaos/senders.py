"""Clients of a hospital: each study is sent until an answer says what became of it."""

import http.client
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from pynetdicom.status import code_to_category

from tests import radiographs
from tests.chaos.stand import Stand
from tests.product import multipart

PAUSE_S = 1.0
SENDERS = 4


@dataclass(slots=True)
class Sent:
    """One study of one image. `key` is its SOP Instance UID, or the SHA-256 of a picture.

    `verdict` is what the client was told, "" while it wasn't; times are those of the clock.
    """

    way: str
    patient_id: str
    key: str = ""
    verdict: str = ""
    said: str = ""
    told_at: float = 0.0
    failures: list[str] = field(default_factory=list)


class Senders:
    """A few threads that send studies at a pace; `stop` gives up what wasn't told yet."""

    def __init__(self, stand: Stand, *, studies: int, seconds: float, dice: random.Random) -> None:
        ways = dice.choices(("picture", "object", "C-STORE"), (50, 25, 25), k=studies)
        self.sent = [Sent(way, f"CHAOS-{number}") for number, way in enumerate(ways)]
        self._stand = stand
        self._client = stand.product.client(stand.token)
        self._waiting = list(enumerate(self.sent))
        self._pause = seconds / studies
        self._began = time.monotonic()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(SENDERS)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    @property
    def are_done(self) -> bool:
        """Whether each study was told of."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Send no more, and wait for what is under way."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                if not self._waiting:
                    return
                number, sent = self._waiting.pop(0)
            due = self._began + number * self._pause
            self._stopped.wait(max(0.0, due - time.monotonic()))
            self._send_until_told(number, sent)

    def _send_until_told(self, number: int, sent: Sent) -> None:
        attempt = self._by_dicom(sent) if sent.way == "C-STORE" else self._by_api(number, sent)
        while not self._stopped.is_set():
            try:
                failure = attempt()
            except (OSError, http.client.HTTPException, ValueError) as error:
                failure = type(error).__name__
            if not failure:
                sent.told_at = time.time()
                return
            sent.failures.append(failure)
            self._stopped.wait(PAUSE_S)

    def _by_dicom(self, sent: Sent) -> Any:
        dataset = radiographs.dicom_object(sent.patient_id)
        sent.key = str(dataset.SOPInstanceUID)

        def attempt() -> str:
            status = radiographs.send_by_dicom(dataset, port=self._stand.dicom_port)
            if status is None:
                return "no association"
            category = code_to_category(status)
            if category == "Failure" and 0xA700 <= status <= 0xA7FF:
                return f"status {status:04X}"
            sent.verdict = "stored" if category in ("Success", "Warning") else "rejected"
            sent.said = f"status {status:04X}"
            return ""

        return attempt

    def _by_api(self, number: int, sent: Sent) -> Any:
        """The same key each time, so that what was done before the line broke is done once."""
        fields = {"department": "radiology"}
        if sent.way == "picture":
            content = radiographs.picture(number)
            fields |= {"patient_id": sent.patient_id, "modality": "CR", "body_part": "CHEST"}
            fields |= {
                "view_position": "PA",
                "priority": "urgent" if number % 5 == 0 else "routine",
            }
        else:
            dataset = radiographs.dicom_object(sent.patient_id)
            content, sent.key = radiographs.in_bytes(dataset), str(dataset.SOPInstanceUID)
        body, content_type = multipart({"image": content}, fields)
        key = str(uuid.UUID(int=random.getrandbits(128), version=4))

        def attempt() -> str:
            status, answer = self._client.request(
                "POST", "submissions/", body, content_type, key=key
            )
            if status in (409, 429) or status >= 500:
                return f"{status} {answer.get('code', '')}"
            if status != 201:
                sent.verdict, sent.said = "rejected", f"{status} {answer.get('code', '')}"
                return ""
            (file,) = answer["files"]
            sent.key = sent.key or file["sha256"]
            sent.verdict, sent.said = file["verdict"], f"{file['code']}: {file['message']}"
            return ""

        return attempt
