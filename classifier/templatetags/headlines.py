"""An answer's headline, a person's conclusion and the model's line, for templates."""

from django import template

from classifier.headlines import conclusion_of, headline_of, model_line_of

register = template.Library()

register.filter("headline", headline_of)
register.filter("conclusion", conclusion_of)
register.filter("model_line", model_line_of)
