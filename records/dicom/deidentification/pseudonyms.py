"""What stands for UIDs, patients and days: the same for the same key, never to be reversed.

Everything is an HMAC-SHA-256 under the key of one project. Exports of a project fit together;
those of two projects can't be joined.
"""

import datetime as dt
import hashlib
import hmac
import uuid
from dataclasses import dataclass

from pydicom.uid import UID_dictionary

ROOT = "2.25."
LONGEST_SHIFT_DAYS = 3650
SHORTEST_SHIFT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The stand-ins for one patient in one project.

    `subject` is our own id of the patient's record, so that a study sent under a corrected
    patient ID stays with its patient.
    """

    key: bytes
    subject: str

    def uid(self, uid: str) -> str:
        """A UID under 2.25 (PS3.5 B.2); UIDs that the standard itself assigns stay."""
        if uid in UID_dictionary:
            return uid
        return f"{ROOT}{uuid.UUID(bytes=self._digest('uid', uid)[:16], version=5).int}"

    @property
    def patient(self) -> str:
        """The patient's ID and name."""
        return f"P{self._digest('patient', self.subject).hex()[:14].upper()}"

    def accession(self, number: str) -> str:
        """The accession number, of 16 characters at most."""
        return f"A{self._digest('accession', number).hex()[:14].upper()}"

    @property
    def shift(self) -> dt.timedelta:
        """Whole days by which every date of the patient is moved back."""
        number = int.from_bytes(self._digest("shift", self.subject)[:8], "big")
        span = LONGEST_SHIFT_DAYS - SHORTEST_SHIFT_DAYS + 1
        return dt.timedelta(days=-(SHORTEST_SHIFT_DAYS + number % span))

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{text}".encode(), hashlib.sha256).digest()
