"""The panels that apps above have put on a page."""

from django import template

from records.panels import panels_at

register = template.Library()

register.simple_tag(panels_at)
