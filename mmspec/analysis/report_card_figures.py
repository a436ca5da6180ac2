"""The figures of the spectral report card."""

from mmspec.drawing.figure import Figure
from mmspec.drawing.style import canvas, line_colour
from mmspec.metrics.report_card import OctaveComparison, ReportCard


def card_figures(card: ReportCard) -> list[Figure]:
    """Bias by octave with its interval, by part where there are several, and how well octaves tell the sets apart."""
    figures = [bias_by_octave(card.octaves), _apart(card.octaves)]
    for title, cuts in (("Bias by channel", card.channels), ("Bias by orientation", card.orientations)):
        if cuts:
            lines = [(cut.name, cut.bias_db) for cut in cuts]
            figures.append(_lines(title, lines, card.octaves))
    return figures


def bias_by_octave(octaves: list[OctaveComparison]) -> Figure:
    """Generated over real with intervals, beside what two halves of the real set differ by."""
    drawing, (axes,) = canvas()
    places = range(len(octaves))
    axes.fill_between(
        places,
        [o.null_interval.low for o in octaves],
        [o.null_interval.high for o in octaves],
        color=line_colour(0),
        alpha=0.25,
        linewidth=0,
    )
    axes.axhline(0, color=line_colour(0), linewidth=1.2)
    biases = [o.bias_db for o in octaves]
    ends = [[o.bias_db - o.interval.low for o in octaves], [o.interval.high - o.bias_db for o in octaves]]
    axes.errorbar(places, biases, ends, fmt="o", color=line_colour(1), capsize=4, markersize=6)
    axes.set(ylabel="generated over real (dB)")
    _name_octaves(axes, octaves)
    caption = (
        "Energy of a typical signal by octave, with its 95% interval; grey: the same between two halves of the real "
        "set, which is chance."
    )
    return Figure("Bias by octave", drawing, caption, [(0, "two halves of the real set"), (1, "generated over real")])


def _apart(octaves: list[OctaveComparison]) -> Figure:
    drawing, (axes,) = canvas()
    places = range(len(octaves))
    axes.axhline(0.5, color=line_colour(0), linewidth=1.2)
    axes.bar(places, [o.auc - 0.5 for o in octaves], bottom=0.5, color=line_colour(1), width=0.5)
    axes.plot(places, [o.auc_null for o in octaves], "_", color=line_colour(0), markersize=30, markeredgewidth=2)
    axes.set(ylabel="AUC of a classifier", ylim=(0.4, 1.02))
    _name_octaves(axes, octaves)
    caption = (
        "How well a simple classifier tells generated signals from real ones by the energies and the structure of one "
        "octave: 0.5 is chance, 1 is always. Grey: the best that it reaches between halves of the real set."
    )
    return Figure("Told apart by octave", drawing, caption, [(0, "two halves of the real set"), (1, "generated")])


def _lines(title: str, lines: list[tuple[str, list[float]]], octaves: list[OctaveComparison]) -> Figure:
    drawing, (axes,) = canvas()
    axes.axhline(0, color=line_colour(0), linewidth=1.2)
    for colour, (_, values) in enumerate(lines, 1):
        axes.plot(range(len(octaves)), values, "o-", color=line_colour(colour), markersize=4)
    axes.set(ylabel="generated over real (dB)")
    _name_octaves(axes, octaves)
    legend = [(colour, name) for colour, (name, _) in enumerate(lines, 1)]
    return Figure(title, drawing, "As above, of a part of the energy.", legend)


def _name_octaves(axes, octaves: list[OctaveComparison]) -> None:  # type: ignore[no-untyped-def]
    axes.set_xticks(range(len(octaves)), [f"{o.low:g}-{o.high:g}" for o in octaves])
    axes.set_xlabel(f"octave ({octaves[0].unit.replace('/', ' per ')})")
