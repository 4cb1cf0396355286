"""The report of a fleet: one page that needs no other file, and the same as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.fleet.record import Record
from ptychonyx.runtime.fleet.report import THUMBNAIL_PX, report_paths, thumbnail, write_report

pytest.importorskip("jinja2", reason="fleets run on distributed, which brings it")
pytest.importorskip("PIL", reason="records have a picture")


RECORDS = (
    Record("good", "/a/good.npz", "done", {}, num_patterns=40, residual=0.02, work_s=1.5),
    Record("later", "/a/later.npz", "waiting", {}),
    Record("<bad>", "/a/<bad>.npz", "failed", {}, reason="<bad>.npz is not readable; copy it."),
)


def test_failures_come_first_and_everything_is_counted(tmp_path: Path) -> None:
    write_report(RECORDS, tmp_path, model_name="tiny")
    report = json.loads(report_paths(tmp_path)[0].read_text())
    assert [one["status"] for one in report["scans"]] == ["failed", "waiting", "done"]
    assert (report["model"], report["done"], report["failed"], report["waiting"]) == (
        "tiny",
        1,
        1,
        1,
    )
    assert (report["num_patterns"], report["work_s"]) == (40, 1.5)
    assert report["scans"][0]["reason"] == "<bad>.npz is not readable; copy it."
    assert report["scans"][2]["product"] == "good.h5"


def test_the_page_shows_names_as_they_are_and_loads_nothing(tmp_path: Path) -> None:
    write_report(RECORDS, tmp_path, model_name="tiny")
    page = report_paths(tmp_path)[1].read_text()
    assert "&lt;bad&gt;.npz is not readable" in page
    assert not re.search(r"<bad>|https?://", page)
    assert page.index("&lt;bad&gt;") < page.index("good")


def test_a_name_that_is_no_text_has_its_line_and_its_link(tmp_path: Path) -> None:
    write_report([Record("n\udcff", "/a/n\udcff.npz", "done", {})], tmp_path, model_name=None)
    page = report_paths(tmp_path)[1].read_text()
    assert '<a href="n%FF.h5">n\\udcff</a>' in page


def test_a_thumbnail_is_cut_to_what_is_known_and_small() -> None:
    import base64
    import io

    from PIL import Image

    known = np.zeros((500, 400), np.bool_)
    known[100:420, 50:210] = True
    object_ = np.exp(1j * np.random.default_rng(0).random(known.shape)).astype(np.complex64)
    data = thumbnail(object_, known).removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (THUMBNAIL_PX // 2, THUMBNAIL_PX)
    assert thumbnail(object_, np.zeros_like(known)) == ""


def test_a_solved_scan_shows_its_passes_and_no_disagreement(tmp_path: Path) -> None:
    solved = Record("one", "/a/one.npz", "done", {}, method="passes", passes=12, residual=0.005)
    write_report([solved], tmp_path, model_name=None)
    json_path, page_path = report_paths(tmp_path)
    report = json.loads(json_path.read_text())
    assert report["model"] is None
    (one,) = report["scans"]
    assert (one["method"], one["passes"], one["disagreement"]) == ("passes", 12, None)
    page = page_path.read_text()
    assert "Solved by passes, without a model" in page
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert cells[cells.index("12") - 1] == "–"


def test_an_option_that_a_scan_needs_is_named(tmp_path: Path) -> None:
    needed = "Patterns differ in brightness: fit it (refine-intensity)."
    write_report(
        [Record("one", "/a/one.npz", "done", {}, needed=needed)], tmp_path, model_name=None
    )
    json_path, page_path = report_paths(tmp_path)
    assert json.loads(json_path.read_text())["scans"][0]["needed"] == needed
    assert f"Needed: {needed}" in page_path.read_text()
