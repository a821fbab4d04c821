"""Every environment variable of the product, by its name."""

from medimaging.configuration.containers import CONTAINERS
from medimaging.configuration.imaging import CLASSIFICATION, DICOM, INTAKE, RETENTION, STORAGE
from medimaging.configuration.variables import Variable
from medimaging.configuration.wiring import BEHAVIOUR, PLACES, SECURITY, WEB

GROUPS: dict[str, tuple[Variable, ...]] = {
    "Keys and people": SECURITY,
    "Where things are": PLACES,
    "Behaviour": BEHAVIOUR,
    "Web server": WEB,
    "Classification": CLASSIFICATION,
    "Intake": INTAKE,
    "Storage": STORAGE,
    "Retention": RETENTION,
    "DICOM": DICOM,
    "Containers": CONTAINERS,
}
VARIABLES = {variable.name: variable for group in GROUPS.values() for variable in group}
