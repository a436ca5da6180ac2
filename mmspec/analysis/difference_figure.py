"""The figure of sets side by side, and of how far their spectra are from the real one."""

from collections.abc import Mapping

from torch import Tensor

from mmspec.analysis import figures
from mmspec.analysis.difference import amplitude_difference
from mmspec.drawing.figure import Figure


def differences(signals: Mapping[str, Tensor], sample_rate: int | None) -> Figure:
    """Samples of several sets, and differences of their spectra (Diffusion Probabilistic Model Made Slim, figure 10).

    Args:
        signals: name -> set ``[N, C, *spatial]`` in [-1, 1]; the first is real.
        sample_rate: Hz of audio; None for pictures.
    """
    (_, real), *generated = signals.items()
    found = {name: amplitude_difference(real, x) for name, x in generated}
    drawing = figures.differences(
        {name: x.numpy() for name, x in signals.items()},
        {name: difference.decibels.numpy() for name, difference in found.items()},
        "cycles per image" if sample_rate is None else "frequency (Hz)",
        1.0 if sample_rate is None else sample_rate / real.shape[-1],
    )
    means = ", ".join(f"{name} {difference.mean:.2f} dB" for name, difference in found.items())
    counts = ", ".join(f"{len(x):,} {name}" for name, x in signals.items())
    caption = (
        "Above: samples; below: mean DFT amplitude, generated minus real, in dB, negative where generated signals lack "
        f"energy. Mean absolute difference over all frequencies but 0: {means} ({counts})."
    )
    legend = [(1, "less than real"), (2, "more than real")] if sample_rate is None else list(enumerate(signals))
    return Figure("Samples, and differences of their spectra", drawing, caption, legend)
