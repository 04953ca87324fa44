"""What all pictures have in common: drawn by matplotlib without a screen, in plain axes, names never as mathematics.

matplotlib is imported when something is drawn, because it takes half a second.
"""

import io
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

BASE = "DejaVu Sans"
"""Comes with matplotlib."""
BLUE, RED, GREY, INK = "#2563a8", "#c2410c", "#d8dde3", "#1f2933"


def style(fonts: Sequence[str] = (BASE,)) -> AbstractContextManager[None]:
    """The settings under which pictures are drawn."""
    from matplotlib import rc_context

    return rc_context({"font.family": list(fonts), "text.parse_math": False, "axes.unicode_minus": False})


def figure_of(width: float, height: float, dpi: int, layout: Any = None) -> Any:
    """An empty figure; sizes are in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any, software: str = "loadgen") -> bytes:
    """The figure as PNG; a letter that no font has is drawn as a box."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure.savefig(file, format="png", metadata={"Software": software})
    return file.getvalue()


def frame(axes: Any) -> None:
    """Leave only the lines at the left and below."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


def grid(axes: Any, along: str = "both") -> None:
    """Draw a grid behind everything else; along "x", "y" or both."""
    axes.grid(axis=along, color=GREY, linewidth=0.8)
    axes.set_axisbelow(True)


def nothing(axes: Any, text: str) -> None:
    """Show a sentence instead of empty axes."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=INK, transform=axes.transAxes)
