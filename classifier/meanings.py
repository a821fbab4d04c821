"""What a word of confidence has meant with a model: how often answers so called were right."""

from dataclasses import dataclass
from typing import Any

from classifier.choices import Confidence
from classifier.models import ModelVersion

RIGHT = "shown.right"
"""What the figure of a word on the test images begins with, in the manifest."""

Metric = dict[str, Any]


@dataclass(frozen=True)
class WordMeaning:
    """One word: from which margin it is said, and how often answers so called were right.

    `margin` is None for a word that is never said, since the model didn't earn it. `validation`
    holds `right`, `answers` and `low`, the bound of the worst source; `test` is a figure with its
    interval. Either is None where no answer was called so.
    """

    word: str
    words: str
    asked: float | None
    margin: float | None
    validation: Metric | None
    test: Metric | None

    @property
    def is_said(self) -> bool:
        """Tell whether answers can be called so."""
        return self.margin is not None or self.word == Confidence.LOW

    @property
    def share(self) -> float | None:
        """The share that was right on the validation images."""
        found = self.validation
        return found["right"] / found["answers"] if found and found["answers"] else None


def meanings_of(version: ModelVersion) -> list[WordMeaning]:
    """Each word, the strongest first; none for a model whose words were not measured."""
    measured = version.manifest.get("confidence")
    if not measured:
        return []
    metrics = version.manifest["metrics"]
    return [
        WordMeaning(
            word=word.value,
            words=str(word.label),
            asked=measured["asked"].get(word.value),
            margin=measured["margins"].get(word.value),
            validation=measured["records"].get(word.value),
            test=metrics.get(f"{RIGHT}.{word.value}"),
        )
        for word in Confidence
    ]


def meaning_in_words(version: ModelVersion, word: str) -> str:
    """What a word has meant, in a clause: "right in 0.97 of 1,203 on validation, ..."."""
    found = next((one for one in meanings_of(version) if one.word == word), None)
    if found is None:
        return ""
    said = []
    if found.share is not None and found.validation:
        said.append(f"{found.share:.2f} of {found.validation['answers']:,} on validation images")
    if found.test:
        said.append(f"{found.test['value']:.2f} of {found.test['images']:,} on test images")
    return f"right in {' and '.join(said)}" if said else ""
