"""Run the benchmarks and write docs/measurements/performance.md; `make bench` calls this.

    python tests/benchmarks/performance.py             # everything anew
    python tests/benchmarks/performance.py NAME …      # some scripts anew, the other sections stay
    python tests/benchmarks/performance.py --assemble  # measure nothing, take what scripts left

A benchmark is a script beside this one that defines `section() -> str`. It measures, draws its figures
to docs/measurements/performance/, and returns one Markdown section: `## Title`, the command that
remakes it, tables of medians and spreads, and in a few plain words what bounds the figures. Its last
lines are

    if __name__ == "__main__":
        write_section(__file__, section())

so that it runs alone, in a process of its own, and leaves the section in build/performance/NAME.md.
What takes minutes goes through `remember`: a script that was cut off goes on where it was. Scripts that
compare take turns between what is compared; each figure is a median, with the smallest and the largest.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "performance"
PAGE = ROOT / "docs" / "measurements" / "performance.md"
FIGURES = ROOT / "docs" / "measurements" / "performance"
ORDER = (
    "end_to_end",
    "growth",
    "other_ways",
    "network",
    "frameworks",
    "precision",
    "stitching",
    "memory",
    "startup",
    "fleet",
)
"""Sections come in this order; those of other scripts after them, by name."""
PACKAGES = (
    "numpy",
    "scipy",
    "h5py",
    "onnxruntime",
    "onnxruntime-gpu",
    "torch",
    "tensorflow",
    "keras",
)


def write_section(script: str, text: str) -> None:
    """Leave a section where `main` finds it, and print it."""
    name = Path(script).stem
    if not text.startswith("## "):
        raise ValueError(f"The section of {name} begins with {text[:20]!r}; it needs a `## Title`.")
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.md").write_text(text.strip() + "\n")
    print(text)


def remember(script: str, key: str, measure: Callable[[], Any]) -> Any:
    """Return what a cut-off run of the script measured under this key, or measure it now.

    The value must be what JSON can hold.
    """
    path = BUILD / f"{Path(script).stem}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if key not in known:
        known[key] = measure()
        BUILD.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known, indent=1))
    return known[key]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return median, smallest and largest as text."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; all columns but the first are flush right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def remake(script: str) -> str:
    """Return the line that says how a section is made again."""
    return f"Remade by `python tests/benchmarks/performance.py {Path(script).stem}`.\n"


def benchmarks() -> list[str]:
    """Return the names of all benchmark scripts, in the order of the page."""
    names = [
        path.stem
        for path in HERE.glob("*.py")
        if path.name != Path(__file__).name and "\ndef section() -> str:" in path.read_text()
    ]
    rank = {name: place for place, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def measure(name: str) -> None:
    """Run one benchmark anew, in a process of its own."""
    for ending in (".json", ".md"):
        (BUILD / f"{name}{ending}").unlink(missing_ok=True)
    subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=True, cwd=ROOT)


def assemble() -> None:
    """Write the page: new sections where scripts left some, the page's own where not."""
    sections = sections_of(PAGE.read_text()) if PAGE.exists() else {}
    names = benchmarks()
    for name in names:
        file = BUILD / f"{name}.md"
        if file.exists():
            sections[name] = f"{file.read_text().strip()}\n\nMeasured on {machine()}.\n"
    parts = [f"<!-- {name} -->\n\n{sections[name]}" for name in names if name in sections]
    PAGE.write_text("\n".join([HEAD, *parts]))


def sections_of(page: str) -> dict[str, str]:
    """Return what the page has of each benchmark."""
    parts = re.split(r"^<!-- (\w+) -->\n\n", page, flags=re.MULTILINE)
    return {name: f"{text.strip()}\n" for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def machine() -> str:
    """Describe the machine and the packages that were measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES if is_there(name)]
    return (
        f"{processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}, "
        + ", ".join(versions)
    )


def processor() -> str:
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    text = file.read_text()
    model = re.search(r"model name\s*: (.*)", text)
    widest = next((name for name in ("avx512f", "avx2", "avx") if f" {name} " in text), "")
    return f"{model[1] if model else platform.machine()} ({widest})"


def is_there(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


HEAD = """# Performance

Every figure here was measured and can be remade: `make bench` runs all of it, the line under each
heading one section. Figures are medians, with the smallest and the largest in brackets; what is compared
was measured in turns, in one run. Ratios carry over to other machines better than times do.
"""


def main(words: list[str]) -> None:
    if words != ["--assemble"]:
        if not words:
            shutil.rmtree(BUILD, ignore_errors=True)
        unknown = sorted(set(words) - set(benchmarks()))
        if unknown:
            sys.exit(f"There is no benchmark {unknown[0]}; there are {', '.join(benchmarks())}.")
        for name in words or benchmarks():
            measure(name)
    assemble()


if __name__ == "__main__":
    main(sys.argv[1:])
