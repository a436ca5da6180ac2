"""The figures of a verification: bias by octave of every arm, and what each treatment changed, seed by seed."""

from collections.abc import Mapping, Sequence

from mmspec.diagnosis.verification import DECIDING, Arm, Judgement
from mmspec.drawing.figure import Figure
from mmspec.drawing.style import INK, canvas, line_colour


def verification_figures(
    arms: Mapping[str, Arm], judgements: Sequence[Judgement], octaves: Sequence[str]
) -> list[Figure]:
    """Bias by octave, and differences where treatments are judged.

    Args:
        arms: by name, of those that are there.
        judgements: of treatments.
        octaves: what they are called.
    """
    figures = [_biases(arms, octaves)] if arms else []
    return figures + ([_differences(judgements)] if judgements else [])


def _biases(arms: Mapping[str, Arm], octaves: Sequence[str]) -> Figure:
    drawing, (axes,) = canvas()
    axes.axhline(0, color=line_colour(0), linewidth=1.2)
    for colour, arm in enumerate(arms.values(), 1):
        axes.plot(range(len(octaves)), arm.octave_bias.mean(0), "o-", color=line_colour(colour), markersize=4)
        for bias in arm.octave_bias if len(arm.octave_bias) > 1 else ():
            axes.plot(range(len(octaves)), bias, color=line_colour(colour), linewidth=0.6, alpha=0.35)
    axes.set_xticks(range(len(octaves)), [name.rpartition(" ")[0].replace(" to ", "-") for name in octaves])
    axes.set(
        xlabel=f"octave ({octaves[0].rpartition(' ')[2].replace('/', ' per ')})", ylabel="generated over real (dB)"
    )
    legend = [(colour, name) for colour, name in enumerate(arms, 1)]
    return Figure("Bias by octave", drawing, "Means over seeds; pale: each seed. 0 is as real signals have it.", legend)


def _differences(judgements: Sequence[Judgement]) -> Figure:
    drawing, (axes,) = canvas(size=(6.2, 1.0 + 0.6 * len(judgements)))
    axes.axvline(0, color=line_colour(0), linewidth=1.2)
    for row, judgement in enumerate(judgements):
        for colour, found, place in ((1, judgement.none, row - 0.13), (2, judgement.placebo, row + 0.13)):
            if found is None:
                continue
            decisive = found.differences[DECIDING]
            axes.plot(
                [decisive.interval.low, decisive.interval.high], [place] * 2, color=line_colour(colour), linewidth=2
            )
            axes.plot([decisive.mean], [place], "|", color=INK, markersize=10)
    axes.set(xlabel="change of the mean size of the bias (dB), below 0 is better")
    axes.set_yticks(range(len(judgements)), [judgement.name for judgement in judgements])
    axes.set_ylim(len(judgements) - 0.5, -0.5)
    legend = [(1, "against the untreated arm"), (2, "against the placebo")]
    return Figure(
        "What treatments change", drawing, "Means over seeds with 95% intervals of paired differences.", legend
    )
