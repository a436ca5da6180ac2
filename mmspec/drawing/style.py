"""How all plots look: colours of the page, restrained axes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# The style sheet's colours in light mode, by which an SVG knows which of its variables to take instead.
INK, MUTED, GRID = "#1b1d22", "#646a76", "#e5e6ea"
LINES = (
    *("#8b909b", "#2563d9", "#d9480f", "#0b8577", "#9330b8", "#b27c00", "#c2255c", "#3f7a12", "#5f4bd8"),
    *("#7a4b2a", "#4a5160", "#857f00", "#dd6ba8"),
)
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--rule", **{c: f"--line-{i}" for i, c in enumerate(LINES)}}


def line_colour(index: int) -> str:
    """Colour 0 is of real data, colour n of the n-th model."""
    return LINES[index % len(LINES)]


def shades(index: int) -> "Colormap":
    """From nothing to a line's colour, for pictures that lie on any background."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    rgb = to_rgb(line_colour(index))
    return LinearSegmentedColormap.from_list(f"shades-{index}", [(*rgb, 0.0), (*rgb, 1.0)])


def lack_and_excess() -> "Colormap":
    """For signed pictures: from line 1's colour, for lack, through nothing to line 2's, for excess."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    lack, excess = to_rgb(line_colour(1)), to_rgb(line_colour(2))
    colours = [(*lack, 1.0), (*lack, 0.0), (*excess, 0.0), (*excess, 1.0)]
    return LinearSegmentedColormap.from_list("lack-and-excess", list(zip((0, 0.5, 0.5, 1), colours, strict=True)))


def canvas(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.2, 3.7), **options: Any
) -> "tuple[Figure, list[Axes]]":
    """An empty figure and its axes, row by row.

    Args:
        rows, columns: of axes.
        size: width and height in inches.
        options: of ``matplotlib.figure.Figure.subplots``, such as ``sharey``.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 11}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    for each in axes.flat:
        restrain(each)
    return figure, list(axes.flat)


def restrain(axes: "Axes") -> None:
    """Nothing but a base line, pale lines across and labels."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", color=MUTED, labelcolor=MUTED, left=False, labelsize=10)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.yaxis.labelpad = 10  # numbers grow on narrow screens
    axes.title.set_color(INK)
    axes.margins(x=0.01)


def set_scale(axes: "Axes", direction: str, scale: str, each: tuple[int, ...] = (1, 2, 5)) -> None:
    """A "linear" scale, or a "log" one with plain numbers at 1, 2 and 5 (or ``each``) times powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if scale == "log":
        getattr(axes, f"set_{direction}scale")("log")
        axis = getattr(axes, f"{direction}axis")
        axis.set_major_locator(LogLocator(subs=each))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
