"""The environment, read once: every variable by its table, all that is wrong at once.

`load` is what settings, the web server and commands take their values from. What can't be used
ends the process with a sentence for each fault and the status 78, before anything has begun.
"""

import functools
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import environ

from medimaging.configuration.contradictions import find_contradictions
from medimaging.configuration.faults import Fault, SettingsUnusable, say, stop
from medimaging.configuration.misspelt import meant, unknown_in_environment, unknown_in_file
from medimaging.configuration.table import VARIABLES
from medimaging.configuration.variables import Variable

BASE_DIR = Path(__file__).resolve().parents[2]
ENV_FILE = BASE_DIR / ".env"
LONGEST_SHOWN = 60
ASSIGNMENT = re.compile(r"(?:export )?([A-Za-z_0-9]+)=.*")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Configuration:
    """The values of all variables, by name, as their kinds read them; None where one is unset.

    `values` never holds what couldn't be read: `faults` says why, and `unknown` names variables
    that nothing reads.
    """

    values: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)
    unknown: list[Fault] = field(default_factory=list)

    def text(self, name: str) -> str:
        """A text, a word of a choice or an address; empty where it isn't set."""
        value = self.values[name]
        return "" if value is None else str(value)

    def flag(self, name: str) -> bool:
        """Yes or no."""
        return self._of(bool, name)

    def whole(self, name: str, fallback: int | None = None) -> int:
        """A whole number; `fallback` where neither it nor a default is set."""
        return self._of(int, name, fallback)

    def number(self, name: str) -> float:
        """A number that may have decimals."""
        return self._of(float, name)

    def listed(self, name: str) -> list[Any]:
        """What stood between the commas."""
        return list(self.values[name] or ())

    def path(self, name: str, fallback: Path) -> Path:
        """An absolute path; `fallback` where it isn't set."""
        return self._of(Path, name, fallback)

    def _of(self, kind: type[Value], name: str, fallback: Value | None = None) -> Value:
        value = self.values[name]
        value = fallback if value is None else value
        if not isinstance(value, kind):
            raise TypeError(f"{name} isn't read as {kind.__name__}")
        return value


@functools.cache
def load() -> Configuration:
    """Read `.env` and the environment; what `.env` has is put there for libraries and children.

    Raises SettingsUnusable, which ends the process, once every fault has been written to
    standard error. Names that nothing reads are written there too, and end nothing.
    """
    found, in_file = read(os.environ, ENV_FILE)
    is_json = found.values.get("LOG_FORMAT") == "json"
    say(found.unknown, level="WARNING", is_json=is_json)
    if found.faults:
        say(found.faults, level="ERROR", is_json=is_json)
        raise SettingsUnusable(found.faults)
    for name, text in in_file.items():
        os.environ.setdefault(name, text)
    return found


def stop_without(name: str, why: str) -> NoReturn:
    """End a process that can't do its work safely without a variable."""
    is_json = load().text("LOG_FORMAT") == "json"
    stop(Fault("setting_missing", name, f"Set {name}: without it {why}."), is_json=is_json)


def read(environment: Mapping[str, str], env_file: Path) -> tuple[Configuration, Mapping[str, str]]:
    """Return what an environment and a file say together, and what the file alone says.

    The environment wins. An empty value counts as none.
    """
    in_file, faults = _read_file(env_file)
    texts = {**in_file, **environment}
    values: dict[str, Any] = {}
    for variable in VARIABLES.values():
        try:
            values[variable.name] = _value(variable, texts.get(variable.name, ""))
        except ValueError as error:
            faults.append(_invalid(variable, texts[variable.name], str(error)))
    faults += find_contradictions(values)
    unknown = _unknown(unknown_in_file(in_file), " in .env")
    unknown += _unknown(unknown_in_environment(environment.keys() - in_file.keys()), "")
    return Configuration(values, faults, unknown), in_file


def _value(variable: Variable, text: str) -> Any:
    # A key is every letter of it: what was made with one that ends in a space needs the space.
    if not variable.is_secret or variable.name.endswith("_URL"):
        text = text.strip()
    text = text or variable.default
    return variable.kind.parse(text) if text else None


def _invalid(variable: Variable, text: str, allowed: str) -> Fault:
    if variable.is_secret or "://" in text:
        message = f"{variable.name} can't be used: {allowed}."
    else:
        shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
        printable = "".join(letter if letter.isprintable() else "�" for letter in shown)
        message = f'{variable.name} is "{printable}": {allowed}.'
    return Fault("setting_invalid", variable.name, message)


def _unknown(names: list[str], where: str) -> list[Fault]:
    return [
        Fault(
            "setting_unknown",
            name,
            f"{name}{where} is no setting of the product, and nothing reads it."
            + (f" {near} may be meant." if (near := meant(name)) else ""),
        )
        for name in sorted(names)
    ]


def _read_file(path: Path) -> tuple[dict[str, str], list[Fault]]:
    """Return the assignments of a `.env` and what is wrong with it; it need not be there."""
    code, hint = "env_file_invalid", "write NAME=value, without spaces around ="
    if not path.exists():
        return {}, []
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return {}, [Fault(code, path.name, f"{path} can't be read: {error.strerror}.")]
    except UnicodeError:
        return {}, [Fault(code, path.name, f"{path} isn't text in UTF-8.")]

    class Assignments(environ.Env):
        ENVIRON: dict[str, str] = {}  # noqa: RUF012 - one for each file that is read

    Assignments.read_env(io.StringIO(text))
    faults = [
        Fault(code, path.name, f"Line {number} of {path} can't be read: {hint}.")
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#") and not ASSIGNMENT.fullmatch(line)
    ]
    return Assignments.ENVIRON, faults
