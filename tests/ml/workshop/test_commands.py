"""What the commands say of themselves: their examples can be given."""

import shlex
from types import ModuleType

import pytest

from ml.workshop.cli import COMMANDS, main, make_parser
from ml.workshop.commands import audit_data, predict, train, tune

PROGRAM = "python -m ml "
# Behind an example, after this many spaces, stands what it does.
GAP = " " * 3


def list_examples(epilog: str) -> list[list[str]]:
    """The words behind `python -m ml` of each example, lines joined, without pipes and remarks."""
    lines = epilog.replace("\\\n", "").splitlines()
    examples = [line.strip() for line in lines if line.strip().startswith(PROGRAM)]
    for end in (GAP, " | "):
        examples = [example.partition(end)[0] for example in examples]
    return [shlex.split(example.removeprefix(PROGRAM)) for example in examples]


@pytest.mark.parametrize("command", [audit_data, predict, train, tune])
def test_help_gives_examples_that_the_command_takes(
    command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    name = command.__name__.rpartition(".")[2].replace("_", "-")
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    examples = list_examples(capsys.readouterr().out)
    assert len(examples) >= 4
    for example in examples:
        assert example[0] == name
        assert make_parser().parse_args(example).run_command == command.run


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(" ".join(command.SUMMARY.split()[:3]) in printed for command in COMMANDS)
