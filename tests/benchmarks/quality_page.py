"""The page quality.md in docs/measurements, made of the JSON files of record in quality/ beside it.

`quality/rows/CASE-BACKEND.json` holds the medians over the seeds of a case, null where a figure is not
known; `quality/throughput.json` is what `throughput.py` measured.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import throughput

PAGES = Path(__file__).parents[2] / "docs" / "measurements"
PAGE, PICTURES = PAGES / "quality.md", PAGES / "quality"
ROWS = PICTURES / "rows"
PICTURE_PX = 900
"""Largest side of a picture on the page."""
COLLAPSED = 0.2
"""Pearson of amplitude and of phase below which a training has collapsed; an error never tells."""

HEAD = f"""# Quality

Made by `make quality` (`tests/benchmarks/quality.py`, settings in `quality.yaml` beside it). The star is the
real Velociprobe scan against a three-mode iterative reconstruction, inside 50:195,50:195 (N = 64) or
100:380,100:380 (N = 128); `-half` was trained on the lower half in y and is scored on the upper one. All
others are simulated, and scored on an object that was not trained on, between the outermost centers of the
beam. Figures are medians over the seeds named. A training
has collapsed if amplitude and phase both correlate by less than {COLLAPSED}. Cases without a row were not
run yet; a phase SSIM left out was taken by an older rule.

| case | backend | seeds | phase Pearson | amplitude Pearson | phase SSIM | amplitude SSIM | complex NRMSE | \
unexplained | collapsed | core minutes | samples/s | memory, MB |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """Medians over the seeds of one case in one backend; None where a figure is not known."""

    case: str
    backend: str
    seeds: tuple[int, ...]
    num_collapsed: int
    phase_pearson: float | None
    amplitude_pearson: float | None
    phase_ssim: float | None
    amplitude_ssim: float | None
    complex_nrmse: float | None
    residual: float | None
    core_s: float | None
    samples_per_s: float | None
    peak_memory_mb: float | None


MEDIANS = [field.name for field in dataclasses.fields(Row) if "float" in str(field.type)]


def merged(results: Sequence[dict[str, Any]]) -> Row:
    """Return the row of the results of all seeds of one case."""
    first = results[0]
    worst = [max(one["phase_pearson"], one["amplitude_pearson"]) for one in results]
    return Row(
        case=first["case"],
        backend=first["backend"],
        seeds=tuple(one["seed"] for one in results),
        num_collapsed=sum(value < COLLAPSED for value in worst),
        **{name: _median([one[name] for one in results]) for name in MEDIANS},
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if len(known) == len(values) else None


def keep(row: Row) -> None:
    """Make a row the one of record."""
    ROWS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(row), indent=1)
    (ROWS / f"{row.case}-{row.backend}.json").write_text(text + "\n")


def rows_of_record() -> dict[tuple[str, str], Row]:
    """Return the rows of record by case and backend."""
    found = [json.loads(path.read_text()) for path in ROWS.glob("*.json")]
    return {
        (one["case"], one["backend"]): Row(**(one | {"seeds": tuple(one["seeds"])}))
        for one in found
    }


def page(places: Iterable[tuple[str, str]]) -> str:
    """Return the page of all rows of record, by case and backend in the order given."""
    known = rows_of_record()
    rows = [known[place] for place in places if place in known]
    table = HEAD + "\n".join(map(line_of, rows))
    pictures = [
        f"![{row.case}, {row.backend}](quality/{row.case}-{row.backend}.png)" for row in rows
    ]
    return "\n\n".join([table, throughput.section().strip(), *pictures]) + "\n"


def line_of(row: Row) -> str:
    """Return a row as a line of the table."""
    minutes = None if row.core_s is None else row.core_s / 60
    figures = [
        *(
            figure(value, "{:.3f}")
            for value in (
                row.phase_pearson,
                row.amplitude_pearson,
                row.phase_ssim,
                row.amplitude_ssim,
                row.complex_nrmse,
            )
        ),
        figure(row.residual, "{:.2%}"),
        f"{row.num_collapsed} of {len(row.seeds)}",
        *(figure(value, "{:.0f}") for value in (minutes, row.samples_per_s, row.peak_memory_mb)),
    ]
    seeds = ", ".join(map(str, row.seeds))
    return "| " + " | ".join([row.case, row.backend, seeds, *figures]) + " |"


def figure(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def keep_picture(source: Path, row: Row) -> None:
    """Put a small copy of a picture beside the page."""
    from PIL import Image

    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((PICTURE_PX, PICTURE_PX))
        small.quantize(128).save(PICTURES / f"{row.case}-{row.backend}.png", optimize=True)
