"""What the documents tell people to type works: each document's blocks run in order.

A block marked `sh` or `python` is run; everything else (pip lines, diagrams) is not. The files that
the documents name are made first: `scan.npz` and `reference.npz`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

ROOT = Path(__file__).parents[1]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = 'ptychonyx() { "$PYTHON" -c "from ptychonyx.cli import main; main()" "$@"; }\nset -e\n'


def blocks(document: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(document.read_text())


def run(kind: str, code: str, folder: Path) -> None:
    program = [sys.executable, "-c", code] if kind == "python" else ["bash", "-c", COMMAND + code]
    done = subprocess.run(
        program,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PATHS, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"


@pytest.mark.integration
@pytest.mark.tensorflow
@pytest.mark.pytorch
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "document",
    [
        # the first page that a newcomer meets is in the default run, the others in the slow one
        pytest.param(document, marks=() if document.name == "README.md" else pytest.mark.slow)
        for document in DOCUMENTS
        if blocks(document)
    ],
    ids=lambda document: str(document.relative_to(ROOT)),
)
def test_code_blocks_run(document: Path, tmp_path: Path) -> None:
    spec = SimulationOptions(num_patterns=16, window_px=32, step_px=4, counts_per_pattern=1e5)
    scan = simulate_scan(spec, np.random.default_rng(0))
    for name in ("scan.npz", "reference.npz"):
        save_scan(scan, tmp_path / name)
    for kind, code in blocks(document):
        run(kind, code, tmp_path)


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_pictures_of_the_data_page_can_be_made_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    script = ROOT / "docs" / "examples" / "data_pictures.py"
    code = f"import runpy, sys; sys.argv[1:] = ['.']; runpy.run_path({str(script)!r}, run_name='__main__')"
    run("python", code, tmp_path)
    shown = re.findall(
        r"\(../pictures/(data-.*?\.png)\)", (ROOT / "docs" / "guide" / "data.md").read_text()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown)
