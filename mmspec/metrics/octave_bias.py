"""Bias by octave as metrics: how much energy generated signals have over real ones, and how far it is off."""

from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.octaves import described
from mmspec.metrics.report_card import levels_db
from mmspec.metrics.signals import SignalSet

BIAS, ERROR = "octave_bias", "octave_error"


class OctaveBias(Measure):
    """Energy of a typical signal (the geometric mean) by octave, generated over real, as ``mmspec compare`` has it."""

    statistics = (described,)

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``octave_error``, the mean of the biases' sizes; ``octave_bias_1``, ``_2``, ..., the lowest octave first."""
        theirs, ours = real.statistic(described), generated.statistic(described)
        bias = levels_db(ours, theirs)[0].mean(0) - levels_db(theirs, theirs)[0].mean(0)
        counts, octaves = f"{len(ours):,} generated, {len(theirs):,} real", theirs.octaves
        what = "energy of a typical signal, generated over real, in dB"
        metrics = [
            Metric(
                ERROR, bias.abs().mean().item(), f"Mean size of the bias by octave: {what}; {counts}.", "dB", "lower"
            )
        ]
        for number, (low, high, value) in enumerate(
            zip(octaves.edges, octaves.edges[1:], bias.tolist(), strict=False), 1
        ):
            text = f"From {low:g} to {high:g} {octaves.unit}: {what}; {counts}; signed."
            metrics.append(Metric(f"{BIAS}_{number}", value, text, "dB"))
        return Verdict(metrics)
