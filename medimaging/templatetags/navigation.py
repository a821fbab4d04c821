"""The rail's links, for its template."""

from typing import Any

from django import template

from medimaging.navigation import ENTRIES

register = template.Library()


@register.inclusion_tag("_rail_links.html", takes_context=True)
def rail_links(context: template.Context) -> dict[str, Any]:
    """The entries that the person may open, the present page's marked."""
    match = getattr(context.get("request"), "resolver_match", None)
    here = match.view_name if match else ""
    verbs = getattr(context.get("user"), "verbs", ())
    return {
        "links": [
            {
                "entry": entry,
                "is_current": entry.is_current(here),
                "count": context.get(entry.count) if entry.count else None,
            }
            for entry in ENTRIES
            if entry.verb in verbs
        ]
    }
