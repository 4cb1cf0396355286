"""Start-up times, medians of five processes; run by `make bench`, not by the tests."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

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


def main() -> None:
    for arguments in CASES.values():
        seconds(arguments)  # warm the file cache
    times = {
        name: [seconds(arguments) for _ in range(NUM_RUNS)] for name, arguments in CASES.items()
    }
    for name, values in times.items():
        print(
            f"{name:24s} median {statistics.median(values):.3f} s  ({min(values):.3f}-{max(values):.3f})"
        )


if __name__ == "__main__":
    main()
