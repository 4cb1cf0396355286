"""Peak memory of `ptychonyx reconstruct`, whatever the length of the scan."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from material import STEP_PX, command, long_scan, run_cold, untrained_model
from performance import BUILD, remake, remember, table, write_section

from ptychonyx.runtime.formats import load_scan
from ptychonyx.runtime.stitching.patches import canvas_for

LENGTHS = (5_000, 50_000)


def peak_bytes(folder: Path, filters: float) -> int:
    """Return the most memory that reconstructing a scan ever held."""
    model = untrained_model(f"cnn-f{filters:g}-n64".replace(".", ""), filters=filters)
    return run_cold(command("reconstruct", folder, "-m", model, "-o", BUILD / "memory.h5"))[1]


def same_canvas(num_patterns: int) -> Path:
    """Return a scan over the area of the shortest one: only the number of patterns differs."""
    step_px = STEP_PX * (LENGTHS[0] / num_patterns) ** 0.5
    return long_scan(num_patterns, step_px=step_px, name=f"dense-64-{num_patterns}")


def section() -> str:
    few, many = LENGTHS
    cases = {
        "few": (same_canvas(few), 0.125),
        "many": (same_canvas(many), 0.125),
        "wide": (long_scan(many), 0.125),
        "larger network": (same_canvas(few), 1.0),
    }
    peaks = {
        key: remember(__file__, key, partial(peak_bytes, *case)) for key, case in cases.items()
    }
    rows = []
    for key, (folder, filters) in cases.items():
        scan = load_scan(folder)
        height, width = canvas_for(scan).shape
        what = f"{scan.num_patterns:,} on {height}×{width} px, F = {filters:g}"
        rows.append((what, f"{peaks[key] / 1e6:.0f}"))
    return (
        f"## Memory\n\n{remake(__file__)}\nPeak of the whole process, `cnn`, N = 64, batches of 64, two "
        f"predictions at once.\n\n{table(('patterns', 'MB'), rows)}\n"
        f"Ten times the patterns on the same canvas need {peaks['many'] / peaks['few']:.2f} times the "
        "memory: patterns are read when their turn comes, and few batches exist at a time. What grows is "
        "the canvas; it is largest when the finished object is tested against the patterns.\n"
    )


if __name__ == "__main__":
    write_section(__file__, section())
