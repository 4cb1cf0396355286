"""Quality against seconds of one core: ours, sequential ePIE, and pty-chi, from the rows of record."""

from __future__ import annotations

from .peers import GOALS, OWN, STEPS, seconds_to
from .records import ROOT, Row, load

PICTURE = ROOT / "docs" / "pictures" / "solving-against-time.png"
LABELS = {"ours": "Ptychonyx", "ePIE": "sequential ePIE"}


def chosen() -> dict[str, Row]:
    """Return our rows, and of each of pty-chi's algorithms the setting that is soonest at its best."""
    rows = load("peers")
    found = {LABELS[one.key]: rows[one.key] for one in OWN if one.key in rows}
    for name in STEPS:
        own = [row for row in rows.values() if row["algorithm"] == name and row["batch"]]
        if own:
            best = min(own, key=rank)
            label = f"pty-chi {name}, batch {best['batch']}, step {best['step']}"
            found[label] = best
    return found


def rank(row: Row) -> tuple[float, ...]:
    """Return what is smaller for a better row: seconds to the goals, the hardest first; then phase."""
    return (*(seconds_to(row, goal) for goal in reversed(GOALS)), -max(row["phase"]))


def draw() -> None:
    """Draw phase and amplitude against the seconds of passes, without start-up."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("phase", "amplitude"), strict=True):
        for label, row in chosen().items():
            axes.semilogx(row["seconds"], row[name], ".-", label=label)
        axes.set(xlabel="seconds of one core, without start-up", ylabel=f"Pearson of {name}")
        axes.grid(visible=True, which="both", alpha=0.3)
    figure.axes[0].set_ylim(0.9, 1)
    figure.axes[1].legend(fontsize="small", loc="lower right")
    figure.savefig(PICTURE, dpi=100)
    print(PICTURE)
