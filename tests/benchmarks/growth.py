"""How the time of a whole command grows with the number of patterns, and with the canvas."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

from end_to_end import NUM_TURNS, reconstruct_cold
from material import long_scan, untrained_model
from performance import FIGURES, remake, remember, spread, table, write_section

LENGTHS = (500, 5_000, 50_000)
SIDE = 46
CANVAS_STEPS_PX = {512: 9.0, 1024: 20.0, 2048: 42.0, 4096: 88.0}
"""Step of a raster of 46×46 windows on canvases of about these sides."""


def canvas_scan(side_px: int) -> Path:
    step_px = CANVAS_STEPS_PX[side_px]
    return long_scan(SIDE**2, step_px=step_px, name=f"canvas-64-{side_px}")


def section() -> str:
    model = untrained_model("cnn-f05-n64", filters=0.5)

    def times(key: str, folder: Path, num_turns: int) -> list[float]:
        work = partial(reconstruct_cold, folder, model)
        return [remember(__file__, f"{key}, {i}", work) for i in range(num_turns)]

    grown = {
        num: times(str(num), long_scan(num), 1 if num > 10_000 else NUM_TURNS) for num in LENGTHS
    }
    on_canvas = {
        side: times(f"canvas {side}", canvas_scan(side), NUM_TURNS) for side in CANVAS_STEPS_PX
    }
    draw({num: statistics.median(values) for num, values in grown.items()})
    return "\n".join(
        [
            f"## How cost grows\n\n{remake(__file__)}",
            "`ptychonyx reconstruct` from a cold process, `cnn` F = 0.5.\n",
            table(
                ("patterns", "seconds", "patterns/s"),
                [
                    (f"{num:,}", spread(values), f"{num / statistics.median(values):.0f}")
                    for num, values in grown.items()
                ],
            ),
            "![Wall time against the number of patterns](performance/growth.png)\n",
            table(
                (f"{SIDE**2:,} patterns, canvas of about", "seconds"),
                [(f"{side}×{side}", spread(values)) for side, values in on_canvas.items()],
            ),
            "Start-up is paid once, and every pattern costs the same. A canvas costs its own size once: "
            "finishing, testing it against patterns, and writing it. A patch costs no more on a large "
            "one.\n",
        ]
    )


def draw(seconds: dict[int, float]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.loglog(list(seconds), list(seconds.values()), "o-", label="ptychonyx reconstruct")
    few, *_, many = seconds
    rate_s = (seconds[many] - seconds[few]) / (many - few)
    label = f"{1e3 * rate_s:.2f} ms a pattern"
    axes.loglog(list(seconds), [num * rate_s for num in seconds], ":", label=label)
    axes.set(xlabel="patterns", ylabel="wall time / s")
    axes.legend()
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / "growth.png", dpi=100)


if __name__ == "__main__":
    write_section(__file__, section())
