"""Start-up times of whole processes."""

from __future__ import annotations

import subprocess
import sys
import time

from performance import remake, remember, spread, table, write_section

NUM_RUNS = 5
CASES = {
    "numpy and onnxruntime": ["-c", "import numpy, onnxruntime"],
    "and ptychonyx.runtime": ["-c", "import numpy, onnxruntime, ptychonyx.runtime"],
    "ptychonyx --help": ["-c", "from ptychonyx.cli import main; main()", "--help"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def times() -> dict[str, list[float]]:
    for arguments in CASES.values():
        seconds(arguments)  # warm the file cache
    return {
        name: [seconds(arguments) for _ in range(NUM_RUNS)] for name, arguments in CASES.items()
    }


def section() -> str:
    found = remember(__file__, "times", times)
    rows = [(name, spread(values, 3)) for name, values in found.items()]
    return f"## Start-up\n\n{remake(__file__)}\n{table(('process', 'seconds'), rows)}"


if __name__ == "__main__":
    write_section(__file__, section())
