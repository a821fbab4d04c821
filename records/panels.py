"""Places on the pages of records that apps above fill, each with templates of its own."""

from enum import StrEnum


class Place(StrEnum):
    """Where a panel stands; its template is given all that the page is given."""

    STUDY = "study"
    """Beside the images of a study."""
    PATIENT = "patient"
    """Under the table of a patient's studies, `#patient-studies`, which it may replace."""


_panels: dict[Place, list[str]] = {place: [] for place in Place}


def add_panel(place: Place, template: str) -> None:
    """Draw `template` at that place, below those that were added before."""
    if template not in _panels[place]:
        _panels[place].append(template)


def panels_at(place: str) -> tuple[str, ...]:
    """The templates of a place, in order."""
    return tuple(_panels[Place(place)])
