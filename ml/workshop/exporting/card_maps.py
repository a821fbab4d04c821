"""The model card's section on heat maps, as Markdown."""

from ml.manifest import SUPPORTED, MapFigures
from ml.workshop.exporting.card_tables import format_interval, format_table

NOTE = (
    "Of the test images of a disease that are said to have one, the map of the label given, as "
    "people are shown it. `same_place`: the share of the peaks in the fullest square of a sixth of "
    "the image's side. `normal_likeness`: correlation with the mean map of normal images. With "
    "masks of where disease can lie: `peak_on_mask`, the share of peaks on the image's mask, "
    "`weight_on_mask`, the share of the map there, beside `mask_share`, the mask's share of the "
    "image; `_on_others`, the same with the masks of the other images, which a map reaches that "
    "knows nothing of its image. A mask says where disease can lie, not where it does. "
    "Intervals are 95 %, by group."
)
NOT_MEASURED = "Nobody measured whether the heat maps point at disease."


def render_maps(maps: MapFigures | None) -> str:
    """Whether the heat maps can be believed, and the figures."""
    if maps is None:
        return NOT_MEASURED
    if maps.standing == SUPPORTED:
        said = "**The heat maps keep the rule** that was set beforehand."
    else:
        reasons = " ".join(maps.reasons)
        said = (
            f"**The heat maps were not shown to point at disease**, and are folded away. {reasons}"
        )
    rows = [
        (name, format_interval(metric), f"{metric.asked} ({metric.groups})")
        for name, metric in (
            *maps.figures.items(),
            *((f"same_place, {label}", metric) for label, metric in maps.by_label.items()),
        )
    ]
    table = format_table(("figure", "value (95 % interval)", "images (groups)"), rows)
    rows_of, columns = maps.grid
    cells = (
        f"{maps.images} peaks lie in {maps.cells} of {rows_of * columns} cells "
        f"(entropy {maps.entropy:.2f} bits); {maps.masked} images with masks were given a disease."
    )
    return f"{said} {cells}\n\n{NOTE}\n\n{table}"
