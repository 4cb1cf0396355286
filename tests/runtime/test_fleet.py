"""Fleets: parts add up to the whole, finished scans are skipped, failures are told, nobody waits."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.fleet import fleet
from ptychonyx.runtime.fleet import tasks as fleet_tasks
from ptychonyx.runtime.fleet.record import (
    fingerprint_of,
    finished_record,
    names_in,
    product_path,
    remove_leftovers,
)
from ptychonyx.runtime.fleet.tasks import Order, Split
from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.formats.options import ScanOptions
from ptychonyx.runtime.model.model_file import open_model_file
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.runtime.stitching.mosaic import Mosaic
from ptychonyx.runtime.stitching.patches import Canvas, patch_weights

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
pytest.importorskip("distributed", reason="fleets run on distributed")

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "small-pytorch" / "model.onnx"
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
COMMAND = [sys.executable, "-c", "from ptychonyx.cli import main; main()", "reconstruct-many"]
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS, "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def scan_path(small_scan: Scan, tmp_path: Path) -> Path:
    save_scan(small_scan, tmp_path / "scan.npz")
    return tmp_path / "scan.npz"


@pytest.fixture
def model(model_path: Callable[..., Path]) -> Path:
    return model_path(window_px=32, patch_px=16)


@pytest.fixture
def order(scan_path: Path, model: Path, tmp_path: Path) -> Order:
    (tmp_path / "out" / "records").mkdir(parents=True)
    return make_order(scan_path, model, tmp_path / "out", "scan")


def make_order(
    scan: Path, model: Path, folder: Path, name: str, *, split_patterns: int = 1000, **options: Any
) -> Order:
    digest = open_model_file(model).digest
    return Order(
        name,
        scan,
        folder,
        fingerprint_of(scan, digest, {}),
        model,
        digest,
        scan_options=ScanOptions("counts"),
        options=ReconstructionOptions(**options),
        split_patterns=split_patterns,
    )


def run(*words: object, code: int) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def times_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return time and inode of each product and record: whatever is written again changes them."""
    paths = [*folder.glob("*.h5"), *folder.glob("records/*")]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


def test_mosaics_of_parts_add_up_to_that_of_the_whole():
    rng = np.random.default_rng(0)
    canvas, weights = Canvas((90, 70), (-3, 5)), patch_weights(None, 16)
    corners_px = rng.uniform((-10, -5), (85, 70), (200, 2))  # some leave the canvas
    patches = (rng.normal(size=(2, 200, 16, 16)).T @ [1, 1j]).T.astype(np.complex64)
    whole = Mosaic(canvas, weights)
    whole.add(patches, corners_px)
    parts = [Mosaic(canvas, weights) for _ in range(3)]
    for number, part in enumerate(parts):
        part.add(patches[number::3], corners_px[number::3])
    parts[0].merge(parts[1].partial_sums + parts[2].partial_sums)
    merged, stitched = parts[0].finish(), whole.finish()
    np.testing.assert_allclose(merged.object_, stitched.object_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(merged.disagreement, stitched.disagreement, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(merged.coverage, stitched.coverage)


@pytest.mark.parametrize("other", [Mosaic(Canvas((9, 8), (0, 0)), np.ones((2, 2))),
                                   Mosaic(Canvas((8, 8), (0, 0)), np.ones((4, 4)))])  # fmt: skip
def test_mosaics_that_do_not_fit_are_refused(other: Mosaic):
    with pytest.raises(ValueError, match="of the sums has shape"):
        Mosaic(Canvas((8, 8), (0, 0)), np.ones((2, 2))).merge(other.partial_sums)


@pytest.mark.parametrize(("num_channels", "align_phase"), [(1, False), (4, False), (1, True)])
def test_a_split_scan_is_the_unsplit_one(
    num_channels, align_phase, model_path, scan_path, tmp_path
):
    model = model_path(window_px=32, patch_px=16, num_channels=num_channels, max_distance_px=12.0)
    folder = tmp_path / "out"
    (folder / "records").mkdir(parents=True)
    options = {"batch_size": 7, "align_phase": align_phase}
    whole = make_order(scan_path, model, folder, "whole", **options)
    unsplit = fleet_tasks.reconstruct_scan(whole)
    order = make_order(scan_path, model, folder, "parts", split_patterns=15, **options)
    split = fleet_tasks.reconstruct_scan(order)
    assert isinstance(split, Split)
    reference = None
    for is_last in [False, True] if align_phase else [True]:
        parts = [
            fleet_tasks.stitch_part(order, split, *ends, reference)
            for ends in ((0, 13), (13, 26), (26, 40))
        ]
        merged = fleet_tasks.merge_parts(fleet_tasks.merge_parts(parts[0], parts[1]), parts[2])
        if not is_last:
            reference = fleet_tasks.make_reference(split, merged)
    record = fleet_tasks.finish_parts(order, split, merged, reference)
    assert (record.status, record.num_parts, record.num_patterns) == ("done", 3, 40)
    assert not isinstance(unsplit, Split)
    assert record.residual == pytest.approx(unsplit.residual, rel=1e-5)
    a, b = (load_product(product_path(folder, name)) for name in ("parts", "whole"))
    assert a.complete
    assert a.num_patterns_used == b.num_patterns_used == 40
    largest = float(np.abs(b.object_).max())
    np.testing.assert_allclose(a.object_, b.object_, rtol=0, atol=1e-6 * largest)
    np.testing.assert_array_equal(a.coverage, b.coverage)
    np.testing.assert_array_equal(a.probe, b.probe)
    np.testing.assert_allclose(a.disagreement, b.disagreement, rtol=0, atol=1e-6 * largest**2)
    assert a.metadata.keys() == b.metadata.keys()


def test_a_process_opens_the_model_once_and_refuses_another_in_its_place(order: Order):
    assert fleet_tasks.open_model(order) is fleet_tasks.open_model(order)
    stale = dataclasses.replace(order, model_digest="0" * 64)
    with pytest.raises(RuntimeError, match="changed while the fleet was running"):
        fleet_tasks.open_model(stale)


def test_a_scan_is_finished_only_with_the_same_files_model_choices_and_product(order: Order):
    def is_finished(**changes: object) -> bool:
        print_of = fingerprint_of(order.scan, order.model_digest, {}) | changes
        return finished_record(order.folder, order.name, print_of) is not None

    assert not is_finished()
    record = fleet_tasks.reconstruct_scan(order)
    assert is_finished()
    assert fleet_tasks.reconstruct_scan(order) == record  # by another worker, after a death
    assert names_in(order.folder) == {str(order.scan): "scan"}
    assert not is_finished(model="another")
    assert not is_finished(scale=2.0)
    os.utime(order.scan, ns=(0, 0))
    assert not is_finished()
    again = fingerprint_of(order.scan, order.model_digest, {})
    fleet_tasks.reconstruct_scan(dataclasses.replace(order, fingerprint=again))
    assert is_finished()
    product_path(order.folder, order.name).unlink()
    assert not is_finished()


def test_a_damaged_record_is_none(order: Order, caplog):
    fleet_tasks.reconstruct_scan(order)
    (order.folder / "records" / "scan.json").write_text('{"name": "scan"')
    assert finished_record(order.folder, "scan", order.fingerprint) is None
    assert "its scan is reconstructed again" in caplog.text


def test_all_files_of_a_ptychodus_folder_count(small_scan: Scan, tmp_path: Path):
    save_scan(small_scan, tmp_path / "in")
    names = [tmp_path / "in" / name for name in ("diffraction.h5", "product.h5")]
    for scan in (tmp_path / "in", *names):
        assert set(fingerprint_of(scan, "", {})["files"]) == set(map(str, names))


def test_names_are_kept_and_never_shared():
    scans = [Path(path) for path in ("/a/x.npz", "/a/x.h5", "/b/a/x.npz", "/c/y.npz", "/d/z.npz")]
    names = fleet.unique_names(scans, {"/c/y.npz": "old", "/gone/z.npz": "z"})
    assert len(set(names.values())) == 5
    assert (names[scans[3]], names[scans[4]]) == ("old", "d-z")
    assert all(name.startswith("x-") for name in list(names.values())[:3])
    assert fleet.unique_names(scans[::-1], {"/c/y.npz": "old", "/gone/z.npz": "z"}) == names


def test_only_our_leftovers_are_removed(tmp_path: Path):
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


def test_a_product_never_replaces_its_scan(small_scan: Scan, model: Path, tmp_path: Path):
    save_scan(small_scan, tmp_path / "in")
    with pytest.raises(ValueError, match="another name for the output"):
        fleet.reconstruct_many([tmp_path / "in" / "product.h5"], model, tmp_path / "in")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dask": "tcp://host:8786", "num_workers": 2}, "started by somebody else"),
        ({"num_workers": 0}, "`num_workers` is 0"),
        ({"split_patterns": 0}, "`split_patterns` is 0"),
        ({"quantity": "photons"}, "`quantity` is 'photons'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(changes, message, scan_path, model, tmp_path):
    with pytest.raises(ValueError, match=message):
        fleet.reconstruct_many([scan_path], model, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_missing_dask_is_named_with_its_cure(monkeypatch, scan_path, model, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match=r'pip install "ptychonyx\[fleet\]"'):
        fleet.reconstruct_many([scan_path], model, tmp_path / "out")


def test_no_scheduler_is_said(monkeypatch, scan_path, model, tmp_path):
    monkeypatch.setattr(fleet, "CONNECT_S", 1)
    with pytest.raises(RuntimeError, match="No Dask scheduler answers"):
        fleet.reconstruct_many([scan_path], model, tmp_path, dask="tcp://127.0.0.1:9")


@pytest.mark.integration
def test_workers_elsewhere_open_the_model_once(scan_path: Path, model: Path, tmp_path: Path):
    from distributed import LocalCluster

    scans = [tmp_path / f"scan-{number}.npz" for number in range(6)]
    for scan in scans:
        os.link(scan_path, scan)
    fleet_tasks._open.cache_clear()
    options, done = ReconstructionOptions(align_phase=True), []
    # workers are threads of this process, so that what they share can be looked at
    with LocalCluster(n_workers=2, processes=False, dashboard_address=":0") as cluster:
        result = fleet.reconstruct_many(
            scans,
            model,
            tmp_path / "out",
            dask=cluster.scheduler_address,
            quantity="counts",
            split_patterns=25,
            options=options,
            progress=lambda num, of: done.append((num, of)),
        )
    assert [record.status for record in result.records] == ["done"] * 6, result.failed
    assert [record.num_parts for record in result.records] == [2] * 6
    assert done == [(num, 6) for num in range(7)]
    assert fleet_tasks._open.cache_info().misses == 1


@pytest.mark.integration
def test_a_fleet_with_a_bad_scan(scan_path: Path, small_scan: Scan, model: Path, tmp_path: Path):
    patterns = np.concatenate([small_scan.patterns[:], small_scan.patterns[:]])
    corners_px = np.concatenate(
        [small_scan.corners_px, small_scan.corners_px + np.array([0.5, 1.25])]
    )
    large = dataclasses.replace(
        small_scan, patterns=patterns, corners_px=corners_px, position_indexes=None
    )
    (tmp_path / "other").mkdir()
    save_scan(large, tmp_path / "large.npz")
    save_scan(small_scan, tmp_path / "other" / "scan.npz")
    bad = tmp_path / "<bad>.npz"
    bad.write_bytes(scan_path.read_bytes()[:3000])
    scans = [scan_path, tmp_path / "other" / "scan.npz", tmp_path / "large.npz", bad]
    out = tmp_path / "out"
    words = [*scans, "-m", model, "-o", out, "--quantity", "counts", "--workers", 2]
    message = run(*words, "--split-patterns", 45, code=1)
    assert "3 of 4 scans have their product (0 had it before), 1 failed" in message
    assert "Traceback" not in message
    assert f"{bad}: {bad} is not a readable NPZ file" in message
    first = f"{tmp_path.name}-scan"
    assert {path.name for path in out.glob("*.h5")} == {f"{first}.h5", "other-scan.h5", "large.h5"}
    report = json.loads((out / "report.json").read_text())
    found = {one["name"]: one for one in report["scans"]}
    assert (report["done"], report["failed"]) == (3, 1)
    assert (found["large"]["num_parts"], found["other-scan"]["num_parts"]) == (2, 1)
    assert "not a readable NPZ file" in found["<bad>"]["reason"]
    page = (out / "report.html").read_text()
    assert page.count('<img src="data:image/png;base64,') == 3
    assert "&lt;bad&gt;" in page
    assert not re.search(r"<bad>|https?://", page)
    before = times_of(out)
    message = run(*words, "--split-patterns", 45, code=1)
    assert "3 of 4 scans have their product (3 had it before), 1 failed" in message
    message = run(*words[:3], *words[4:], code=0)
    assert "3 of 3 scans have their product (3 had it before), 0 failed" in message
    assert times_of(out) == before


@pytest.mark.integration
def test_a_stopped_fleet_keeps_what_is_finished(scan_path: Path, model: Path, tmp_path: Path):
    scans = [tmp_path / f"scan-{number}.npz" for number in range(400)]
    for scan in scans:
        os.link(scan_path, scan)
    out = tmp_path / "out"
    words = [*scans, "-m", model, "-o", out, "--quantity", "counts", "--workers", 1]
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(out.glob("records/[!.]*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers, too
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    report = json.loads((out / "report.json").read_text())
    assert report["done"] >= 1
    assert report["waiting"] >= 1
    assert report["failed"] == 0
    for path in out.glob("*.h5"):
        assert load_product(path).complete
    assert not list(out.rglob(".*"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_large_fleet_survives_a_killed_worker(tmp_path: Path):
    def make(path: Path, seed: int, window_px: int, lowest: float = 0) -> None:
        spec = SimulationOptions(num_patterns=20, window_px=window_px, step_px=8)
        scan = simulate_scan(spec, np.random.default_rng(seed))
        patterns = scan.patterns[:].astype(np.float32)
        patterns[5, 3, 3] += lowest
        save_scan(dataclasses.replace(scan, patterns=patterns), path)

    good = [tmp_path / f"good-{number:03}.npz" for number in range(188)]
    for number, path in enumerate(good):
        make(path, number, 64)
    bad = {}
    for number in range(4):
        cut, wrong, low = (tmp_path / f"{word}-{number}.npz" for word in ("cut", "wrong", "low"))
        cut.write_bytes(good[0].read_bytes()[: 900 * (number + 1)])
        make(wrong, number, 32)
        make(low, number, 64, lowest=-1e9)
        bad |= {cut: "not a readable NPZ", wrong: "are 32×32, but", low: "Pattern 5 holds a neg"}
    scans = [*good, *bad]
    np.random.default_rng(0).shuffle(scans)
    assert len(scans) == 200
    out = tmp_path / "out"
    words = [*scans, "-m", MODEL, "-o", out, "--quantity", "counts", "--workers", 2]
    process = subprocess.Popen([*COMMAND, *map(str, words)], env=ENVIRONMENT)
    while len(before := sorted(out.glob("records/[!.]*"))) < 90:
        assert process.poll() is None
        time.sleep(0.05)
    killed = json.loads(before[0].read_text())["worker"]
    os.kill(int(killed.rsplit(":", 1)[1]), signal.SIGKILL)
    finished = times_of(out)
    assert process.wait() == 1
    after = times_of(out)
    records = {path for path in finished if path.suffix == ".json"}
    for record in records:  # what was finished was not done again
        product = product_path(out, record.stem)
        assert [after[path] for path in (record, product)] == [
            finished[path] for path in (record, product)
        ]
    assert {path.stem for path in out.glob("*.h5")} == {path.stem for path in good}
    report = json.loads((out / "report.json").read_text())
    done = [one["name"] for one in report["scans"] if one["status"] == "done"]
    assert sorted(done) == [path.stem for path in good]
    later = [one["worker"] for one in report["scans"] if one["status"] == "done"]
    assert len(set(later)) >= 3  # the dead worker, the other, and who came instead
    failed = {one["scan"]: one["reason"] for one in report["scans"] if one["status"] == "failed"}
    assert set(failed) == set(map(str, bad))
    for path, reason in bad.items():
        assert re.search(reason, failed[str(path)])
    assert not list(out.rglob(".*"))
    message = run(*words, code=1)
    assert "188 of 200 scans have their product (188 had it before), 12 failed" in message
    assert times_of(out) == after
