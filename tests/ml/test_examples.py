"""The examples in the docstrings of the library, as they stand there."""

import doctest
from types import ModuleType

import pytest

from ml import bundles, images, predictor
from ml.explanation import evidence
from tests.ml.conftest import ROOT


@pytest.mark.parametrize(
    "module", [images, bundles, predictor, evidence], ids=lambda module: module.__name__
)
def test_examples_give_what_they_show(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)
