"""The page on quality says what its files of record say, and no more."""

from __future__ import annotations

from typing import Any

import quality
import quality_page


def result(seed: int, **changes: Any) -> dict[str, Any]:
    figures = dict.fromkeys(quality_page.MEDIANS, 0.5)
    return {"case": "star64", "backend": "pytorch", "seed": seed, **figures, **changes}


def test_the_page_is_made_of_the_files_of_record_alone() -> None:
    assert quality_page.page(quality.places()) == quality_page.PAGE.read_text()


def test_every_row_of_record_has_its_picture() -> None:
    for case, backend in quality_page.rows_of_record():
        assert (quality_page.PICTURES / f"{case}-{backend}.png").is_file()


def test_a_row_is_the_median_of_its_seeds() -> None:
    row = quality_page.merged([result(seed, core_s=60 * seed) for seed in (1, 5, 2)])
    assert (row.seeds, row.core_s, row.num_collapsed) == ((1, 5, 2), 120, 0)
    assert "| 1, 5, 2 | 0.500 |" in quality_page.line_of(row)


def test_a_figure_that_one_seed_lacks_is_left_out() -> None:
    row = quality_page.merged([result(0), result(1, samples_per_s=None)])
    assert row.samples_per_s is None
    assert quality_page.line_of(row).split(" | ")[-2] == "–"


def test_a_collapsed_training_is_counted() -> None:
    lost = result(1, phase_pearson=0.1, amplitude_pearson=0.19)
    half = result(2, phase_pearson=0.1, amplitude_pearson=0.9)
    assert quality_page.merged([result(0), lost, half]).num_collapsed == 1
