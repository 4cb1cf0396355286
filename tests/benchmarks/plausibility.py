"""Measure what looking at a scan before any work costs: time beside a reconstruction, and memory.

    python tests/benchmarks/plausibility.py                    # 10,000 patterns; 2,048 and 262,144 of 512×512
    python tests/benchmarks/plausibility.py --patterns 500 --large 256 1024     # a quick look
    python tests/benchmarks/plausibility.py --page             # and writes docs/measurements/plausibility.*

Nothing gates on this: time and memory of a shared machine say little about one change. Each turn is a
process of its own. The large scans are one block of patterns that a virtual dataset repeats: reading
them takes a disk no time, so that what grows is what the look itself keeps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import material
import numpy as np

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "measurements"
MODEL = ROOT / "tests" / "models" / "small-pytorch" / "model.onnx"
NUM_PATTERNS, LARGE = 10_000, (2_048, 262_144)
LARGE_PX, BLOCK, STEP_PX = 512, 128, 40.0
MOST_SHARE, MOST_GROWTH_MB = 5.0, 100.0
"""Bounds: percent of a reconstruction, and megabytes from the first large scan to the last. Positions and
total counts of 262,144 patterns alone have 6 MB, and are needed a few times."""
MAP = "patterns: dp\npositions: {y: y, x: x, unit: px, origin: corner}\n"
LOOK = """
import json, re, sys, time
from pathlib import Path
from ptychonyx.runtime import load_scan
from ptychonyx.runtime.plausibility import look_at
given = json.loads(sys.argv[1])
scan = load_scan(**given["scan"])
began, started = time.process_time(), time.perf_counter()
checked = look_at(scan)
core, wall = time.process_time() - began, time.perf_counter() - started
names = [finding.name for finding in checked.findings]
if given["model"] is not None:
    from ptychonyx.runtime import reconstruct
    from ptychonyx.runtime.model.session import Model
    from ptychonyx.runtime.reconstruction.trust import judge_network
    model = Model(Path(given["model"]), provider="cpu")
    began = time.process_time()
    product = reconstruct(checked.scan, model)
    whole = time.process_time() - began
    began = time.process_time()
    judge_network(product, checked.scan, model.manifest)
    verdict = time.process_time() - began
else:
    whole = verdict = 0.0
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
print(json.dumps([scan.num_patterns, scan.window_px, core, wall, whole, verdict, peak, names]))
"""


@dataclass(frozen=True)
class Look:
    """What looking at one scan cost.

    Attributes
    ----------
    num_patterns, window_px : int
    core_s, wall_s : float
        Of the look alone: of all cores, and on the clock.
    reconstruct_s, verdict_s : float
        Seconds of cores for the reconstruction after it, and for its verdict, for which passes are
        made: these patterns do not belong to their positions. 0 if there was none.
    peak_mb : float
        Memory of the process at its most.
    findings : list of str
    """

    num_patterns: int
    window_px: int
    core_s: float
    wall_s: float
    reconstruct_s: float
    verdict_s: float
    peak_mb: float
    findings: list[str]

    @property
    def look_percent(self) -> float:
        """Time of the look, beside that of the reconstruction."""
        return 100 * self.core_s / self.reconstruct_s

    @property
    def percent(self) -> float:
        """Time of look and verdict, beside that of the reconstruction."""
        return self.look_percent + 100 * self.verdict_s / self.reconstruct_s


def look(model: Path | None = None, **scan: object) -> Look:
    """Look at a scan in a process of its own, and reconstruct it if there is a model."""
    given = json.dumps({"scan": scan, "model": model}, default=str)
    words = [sys.executable, "-c", LOOK, given]
    done = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE)
    return Look(*json.loads(done.stdout))


def repeated_scan(num_patterns: int, folder: Path) -> Path:
    """Write a scan of any length on a raster, of which only one block of patterns takes space."""
    simulated = material.small_scan(64, BLOCK).patterns[:]
    margin = (LARGE_PX - 64) // 2
    block = folder / "block.h5"
    if not block.exists():
        padded = np.pad(simulated, ((0, 0), (margin, margin), (margin, margin)))
        with h5py.File(block, "w") as file:
            file["dp"] = padded.astype(np.uint16)
    layout = h5py.VirtualLayout((num_patterns, LARGE_PX, LARGE_PX), np.uint16)
    for start in range(0, num_patterns, BLOCK):
        num = min(BLOCK, num_patterns - start)
        source = h5py.VirtualSource(block, "dp", (BLOCK, LARGE_PX, LARGE_PX))
        layout[start : start + num] = source[:num]
    side = int(np.ceil(np.sqrt(num_patterns)))
    path = folder / f"{num_patterns}.h5"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("dp", layout)
        file["y"], file["x"] = STEP_PX * np.stack(np.divmod(np.arange(num_patterns), side))
    (folder / "map.yaml").write_text(MAP)
    return path


def measure(num_patterns: int, large: list[int], folder: Path) -> list[Look]:
    found = [look(MODEL, path=material.long_scan(num_patterns, within=folder))]
    for num in large:
        path = repeated_scan(num, folder)
        found.append(look(path=path, map_path=folder / "map.yaml", quantity="counts"))
    return found


def figures(found: list[Look]) -> list[tuple[str, float, float, str]]:
    """Return name, value, bound and unit of what is promised."""
    small, first, *_, last = found
    return [
        (
            f"look, {small.num_patterns:,} patterns of {small.window_px}², beside the network",
            small.look_percent,
            MOST_SHARE,
            "%",
        ),
        (
            f"look and verdict, {small.num_patterns:,} patterns of {small.window_px}², beside the network",
            small.percent,
            MOST_SHARE,
            "%",
        ),
        (
            f"memory of {last.num_patterns:,} patterns of {last.window_px}², over {first.num_patterns:,}",
            last.peak_mb - first.peak_mb,
            MOST_GROWTH_MB,
            "MB",
        ),
    ]


def page(found: list[Look], words: list[str]) -> str:
    rows = "\n".join(
        f"| {each.num_patterns:,} of {each.window_px}² | {each.core_s:.1f} | "
        f"{1e3 * each.core_s / each.num_patterns:.2f} | "
        f"{_seconds(each.reconstruct_s)} | {_seconds(each.verdict_s)} | {each.peak_mb:.0f} | "
        f"{', '.join(each.findings) or 'none'} |"
        for each in found
    )
    bounds = "\n".join(
        f"- {name}: {value:.3g} {unit}, at most {bound:.3g} {unit}: "
        f"{'holds' if value <= bound else 'CROSSED'}."
        for name, value, bound, unit in figures(found)
    )
    return f"""# What looking at a scan costs

Before any work, all patterns are read once, and what can hardly be right is said
([plausibility](../guide/data.md)). Each line is a process of its own. Remade by

    python tests/benchmarks/plausibility.py {" ".join(words)}

{bounds}

| patterns | look, s | ms a pattern | reconstruct, s | verdict, s | most memory, MB | found |
|---|---|---|---|---|---|---|
{rows}

Scans of {LARGE_PX}×{LARGE_PX} are one block of {BLOCK} patterns that a virtual dataset repeats. The machine
was shared with other work, so times are seconds in which a core worked. `reconstruct` is with the
network `small-pytorch`. Its patterns do not belong to their positions, so that the verdict makes passes
over a part of them: that is the dearer case, and costs the same for any number of patterns.
[plausibility.json](plausibility.json) has the numbers.
"""


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what looking at a scan costs.")
    parser.add_argument("--patterns", type=int, default=NUM_PATTERNS)
    parser.add_argument("--large", type=int, nargs="+", default=LARGE, help="two or more numbers")
    parser.add_argument(
        "--page", action="store_true", help="write docs/measurements/plausibility.*"
    )
    given = parser.parse_args()
    if len(given.large) < 2:
        parser.error("`--large` needs two numbers of patterns or more")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.patterns, list(given.large), Path(folder))
    for name, value, bound, unit in figures(found):
        print(
            f"{name:72} {value:8.3g} {bound:6.3g} {unit:3} {'holds' if value <= bound else 'CROSSED'}"
        )
    if given.page:
        PAGES.mkdir(parents=True, exist_ok=True)
        values = json.dumps([asdict(each) for each in found], indent=1)
        (PAGES / "plausibility.json").write_text(f"{values}\n", encoding="utf-8")
        (PAGES / "plausibility.md").write_text(page(found, sys.argv[1:]), encoding="utf-8")


if __name__ == "__main__":
    main()
