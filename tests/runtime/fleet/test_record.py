"""A record stands for a finished scan as long as files, model and choices are the same."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from ptychonyx.runtime.fleet.record import (
    fingerprint_of,
    finished_record,
    names_in,
    product_path,
    remove_leftovers,
)
from ptychonyx.runtime.fleet.tasks import Order, reconstruct_scan
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
pytest.importorskip("PIL", reason="records have a picture")


def test_a_scan_is_finished_only_with_the_same_files_model_choices_and_product(
    order: Order,
) -> None:
    def is_finished(**changes: object) -> bool:
        print_of = fingerprint_of(order.scan, order.model_digest, {}) | changes
        return finished_record(order.folder, order.name, print_of) is not None

    assert not is_finished()
    record = reconstruct_scan(order)
    assert is_finished()
    assert reconstruct_scan(order) == record  # by another worker, after a death
    assert names_in(order.folder) == {str(order.scan): "scan"}
    assert not is_finished(model="another")
    assert not is_finished(scale=2.0)
    os.utime(order.scan, ns=(0, 0))
    assert not is_finished()
    again = fingerprint_of(order.scan, order.model_digest, {})
    reconstruct_scan(dataclasses.replace(order, fingerprint=again))
    assert is_finished()
    product_path(order.folder, order.name).unlink()
    assert not is_finished()


def test_a_damaged_record_is_none(order: Order, caplog: pytest.LogCaptureFixture) -> None:
    reconstruct_scan(order)
    (order.folder / "records" / "scan.json").write_text('{"name": "scan"')
    assert finished_record(order.folder, "scan", order.fingerprint) is None
    assert "its scan is reconstructed again" in caplog.text


@pytest.mark.parametrize("data", [b"garbage", None])
def test_a_product_that_was_changed_is_made_again(
    data: bytes | None, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    reconstruct_scan(order)
    product = product_path(order.folder, order.name)
    written = product.read_bytes()
    status = product.stat()
    product.write_bytes(data or written[:-1] + bytes([written[-1] ^ 1]))
    os.utime(product, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert finished_record(order.folder, order.name, order.fingerprint) is None
    assert "is not what was written there" in caplog.text
    again = reconstruct_scan(order)
    assert finished_record(order.folder, order.name, order.fingerprint) == again


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../escaped"},
        {"name": "/etc/escaped"},
        {"name": "other"},
        {"name": ["scan"]},
        {"scan": 7},
        {"status": "ready"},
        {"status": "failed"},
        {"fingerprint": "all"},
        {"num_patterns": "many"},
        {"num_patterns": -1},
        {"num_parts": True},
        {"object_shape": ["a", "b"]},
        {"object_shape": [4]},
        {"object_shape": 4},
        {"coverage": "0.5"},
        {"coverage": float("nan")},
        {"disagreement": "none"},
        {"residual": [0.1]},
        {"passes": "two"},
        {"work_s": None},
        {"worker": 1},
        {"needed": ["refine-intensity"]},
        {"thumbnail": "https://elsewhere/picture.png"},
        {"product_digest": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_record_that_others_wrote_is_none(changes: dict[str, object], order: Order) -> None:
    reconstruct_scan(order)
    path = order.folder / "records" / "scan.json"
    values = json.loads(path.read_text())
    assert names_in(order.folder) == {str(order.scan): "scan"}
    path.write_text(json.dumps(values | changes))
    assert finished_record(order.folder, "scan", order.fingerprint) is None
    assert names_in(order.folder) == {} or changes == {"status": "failed"}


def test_all_files_of_a_ptychodus_folder_count(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path / "in")
    names = [tmp_path / "in" / name for name in ("diffraction.h5", "product.h5")]
    for scan in (tmp_path / "in", *names):
        assert set(fingerprint_of(scan, "", {})["files"]) == set(map(str, names))


def test_only_our_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for name in (".one.h5.12.tmp", "records/.one.json.12.tmp", ".two.h5.12.tmp", "one.h5"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, ["one"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".two.h5.12.tmp",
        "one.h5",
        "records",
    ]
    assert not list((tmp_path / "records").iterdir())
