"""The table of a task file before it is typed: read, completed, and what of it shapes a network."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.errors import TaskConfigInvalid
from ml.typed_tables import suggest_name

# What a checkpoint depends on. Thresholds, limits and sentences can change without training anew.
NETWORK_SECTIONS = ("data", "input", "model", "augmentation", "training")
# What shapes no network: which seeds a recipe is repeated with, how a CT and other deep images are
# read when asked, since pictures to train on come as grey levels, how images of four times the size
# are shrunk, and what is only scored, when all is fixed.
SHAPES_NOTHING = (
    ("training", "seeds"),
    ("input", "hu_window"),
    ("input", "grey_levels"),
    ("input", "shrink"),
    ("data", "external"),
)
TASKS_DIR = Path(__file__).parents[1] / "tasks"
RECIPE = Path(__file__).parents[1] / "recipe.toml"


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a file; raises TaskConfigInvalid."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        shipped = [one.stem for one in TASKS_DIR.glob("*.toml")]
        near = suggest_name(path.stem, shipped) or f"; there are {', '.join(sorted(shipped))}"
        raise TaskConfigInvalid(path=path, detail=f"there is no such file{near}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TaskConfigInvalid(path=path, detail=error) from error


def complete_table(table: dict[str, Any]) -> None:
    """Add what the table doesn't say: from the recipe, or as it follows from what it says."""
    for name, given in read_toml(RECIPE).items():
        if isinstance(given, dict):
            section = table.setdefault(name, {})
            if isinstance(section, dict):
                table[name] = given | section
        else:
            table.setdefault(name, given)
    data, spec, decision = (table[name] for name in ("data", "input", "decision"))
    table.setdefault("title", str(table.get("task", "")).replace("-", " ").capitalize())
    if isinstance(spec, dict):
        # Exposure and windowing are habits of grey images; colours mean something.
        spec.setdefault("contrast", "as_shown" if spec.get("colour") == "rgb" else "stretched")
    if isinstance(decision, dict) and isinstance(data, dict):
        labels, normal = data.get("labels"), data.get("normal_label")
        diseases = [one for one in labels if one != normal] if isinstance(labels, list) else []
        decision.setdefault("recall_labels", diseases)


def write_choices(table: Mapping[str, Any]) -> str:
    """The choices that shape the network, in JSON."""
    choices = {name: table.get(name) for name in NETWORK_SECTIONS}
    for section, entry in SHAPES_NOTHING:
        found = choices[section]
        # Channels made of pictures are cut out of the window that the pictures are taken as.
        is_channel_base = (
            entry == "hu_window" and isinstance(found, dict) and "hu_channels" in found
        )
        if isinstance(found, dict) and not is_channel_base:
            choices[section] = {name: value for name, value in found.items() if name != entry}
    return json.dumps(choices, sort_keys=True, default=str)
