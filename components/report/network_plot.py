"""The network as a chart: what the weights of each layer took before, and take now."""

import math
from collections.abc import Sequence

from components.report import wording
from components.report.marks import Chart, Mark, Scale, rect
from components.report.page import LayerSize
from components.report.plots import FULL, axes, drawn
from components.report.strips import frame

STRIPS = 24  # most that the chart shows


def network_chart(layers: Sequence[LayerSize]) -> Chart:
    """Draw the bytes of each layer's weights; of many layers, those with the most."""
    most = sorted(range(len(layers)), key=lambda place: -layers[place].bytes_before)[:STRIPS]
    rows = [layers[place] for place in sorted(most)]
    before, after = sum(one.bytes_before for one in layers), sum(one.bytes_after for one in layers)
    some = f" The {len(rows)} largest of {len(layers)} layers." if len(rows) < len(layers) else ""
    return Chart(
        title="The network, layer by layer",
        caption=f"Bytes of the weights: the outline is the uncompressed model ({wording.size(before)}), the bar what "
        f"is released ({wording.size(after)}). Beside them the channels or neurons.{some}",
        drawings=drawn(FULL, lambda width: _network(rows, width)),
    )


def _network(rows: Sequence[LayerSize], width: int) -> tuple[int, list[Mark]]:
    words = [_widths(layer) for layer in rows]
    names = [f"{layer.name} {layer.kind}" for layer in rows]
    place = frame(names, words, width=width, strip=24)
    bottom = place.top + place.strip * len(rows)
    most = max(max(layer.bytes_before, layer.bytes_after) for layer in rows)
    x = Scale(low=0, high=most * 1.02, start=place.names, end=width - place.values - 8)
    y = Scale(low=0, high=1, start=bottom, end=place.top)
    marks = axes(x, y, [(value, wording.size(value) if value else "0") for value in x.ticks(3)], [])
    for index, layer in enumerate(rows):
        top = place.middle(index) - 7
        tip = f"{names[index]}: {wording.size(layer.bytes_before)} → {wording.size(layer.bytes_after)}, {words[index]}"
        marks += [
            rect(x(0), top + 2, x(layer.bytes_after) - x(0), 10, "bar good"),
            rect(x(0), top, x(layer.bytes_before) - x(0), 14, "bar outline", tip=tip),
            place.title(index, names[index]),
            place.value(index, words[index], "label"),
        ]
    return math.ceil(bottom + 22), marks


def _widths(layer: LayerSize) -> str:
    before, after = layer.outputs_before, layer.outputs_after
    return wording.count(before) if before == after else f"{wording.count(before)} → {wording.count(after)}"
