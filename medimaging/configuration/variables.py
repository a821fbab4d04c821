"""The form of the table of variables: what each one is called, may be, and is for."""

from dataclasses import dataclass
from enum import Enum

from medimaging.configuration.kinds import Kind


class Reader(Enum):
    """Who reads a variable."""

    PRODUCT = "the product"
    COMPOSE = "docker-compose.yml alone"
    INTERNAL = "a process that another one of ours starts"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable.

    `default` is written as it would be in `.env`; empty where there is none, or where it depends
    on another setting. `example` is what `.env.example` shows where that isn't the default.
    """

    name: str
    kind: Kind
    default: str
    purpose: str
    example: str = ""
    is_secret: bool = False
    reader: Reader = Reader.PRODUCT

    @property
    def shown(self) -> str:
        """What `.env.example` has behind the name."""
        return self.example or self.default
