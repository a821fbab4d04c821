"""The sentences of `classifier.headlines`, for templates."""

from django import template

from classifier import headlines
from classifier.models import Classification

register = template.Library()


@register.filter
def headline(classification: Classification) -> str:
    """The model's answer in a sentence."""
    return headlines.headline_of(classification)


@register.filter
def conclusion(classification: Classification) -> headlines.Conclusion | None:
    """The decision of the person who signed; None while nobody has."""
    return headlines.conclusion_of(classification)


@register.filter
def model_line(classification: Classification) -> str:
    """The model's answer in a few words, to stand beneath a person's."""
    return headlines.model_line_of(classification)
