"""Cores are counted for this process, not for the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ptychonyx.runtime.model.cores import num_cores, num_physical_cores


def test_a_process_has_no_more_cores_than_its_machine() -> None:
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
    assert 1 <= num_physical_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system confines no process")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core cannot be shared out")
def test_a_confined_process_counts_what_it_was_given() -> None:
    code = (
        "import os\n"
        "from ptychonyx.runtime.model.cores import num_confined_cores, num_cores\n"
        "os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "print(num_cores(), num_confined_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
