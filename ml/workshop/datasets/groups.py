"""Groups however they are spelled: a patient whose number is written in two ways is one patient."""

import re

from ml.workshop.datasets.examples import EXTERNAL

# A source's name before a colon, a few letters, and digits at the end: `nih:nih0042`, `P007`. What
# has digits elsewhere too, such as a UID or a hash, stays as it is: zeros mean something there.
NUMBERED = re.compile(r"(?P<source>[^:]*:)?(?P<letters>[^\W\d_]{0,8}[ _-]?)0*(?P<digits>\d+)")
# What is asked of a test split may be asked of other places too; neither is learned from.
ASKED = ("test", EXTERNAL)


def normalise_group(group: str) -> str:
    """The group with a number's spaces, leading zeros and capitals away, to be compared."""
    spelled = " ".join(group.split())
    found = NUMBERED.fullmatch(spelled)
    if found is None:
        return spelled
    letters = re.sub(r"[ _-]", "", found["letters"]).casefold()
    return f"{found['source'] or ''}{letters}{found['digits']}"


def is_leak(first: str, second: str) -> bool:
    """Whether one group in these two splits lets be asked what was learned."""
    return first != second and not (first in ASKED and second in ASKED)
