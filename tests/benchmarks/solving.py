"""How well and how fast are scans solved by passes? Each figure beside its bound; nothing gates on it.

    python tests/benchmarks/solving.py star                     # the real star and its twin, cold commands
    python tests/benchmarks/solving.py simulated --scans 0:50   # of 100 simulated scans
    python tests/benchmarks/solving.py poor                     # star and twin, few positions or photons
    python tests/benchmarks/solving.py network                  # simulated, with the network and without
    python tests/benchmarks/solving.py positions                # displaced positions, brought back
    python tests/benchmarks/solving.py intensity                # beams that flicker, and backgrounds
    python tests/benchmarks/solving.py cost                     # a core's time, and memory
    python tests/benchmarks/solving.py ptychi --settings 0:5    # beside pty-chi; see passes/peers.py
    python tests/benchmarks/solving.py picture                  # quality against seconds, from ptychi's rows

Each row is written to docs/solving as soon as it is measured, and one that is there is not measured
again; with `--again` it is, if it was made by a solver of other source. A quiet machine is needed for
seconds, not for quality.
"""

from __future__ import annotations

import argparse

from passes import cost, intensity, network, peers, picture, poor, positions, simulated, star

TASKS = (
    *("star", "simulated", "poor", "network", "positions", "intensity"),
    *("cost", "ptychi", "picture"),
)


def part(text: str) -> tuple[int, int]:
    """Read i:j."""
    first, last = text.split(":")
    return int(first), int(last)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the solver.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--scans", type=part, default=(0, simulated.NUM_SCANS), metavar="I:J")
    parser.add_argument("--settings", type=part, default=(0, None), metavar="I:J")
    parser.add_argument("--epochs", type=int, default=peers.EPOCHS)
    parser.add_argument("--python", default=peers.PYTHON, help="of pty-chi's environment")
    parser.add_argument("--again", action="store_true", help="rows of another solver, too")
    given = parser.parse_args()
    match given.task:
        case "star":
            star.run(again=given.again)
        case "simulated":
            simulated.run(*given.scans, again=given.again)
        case "poor":
            poor.run(again=given.again)
        case "network":
            network.run(again=given.again)
        case "positions":
            positions.run(again=given.again)
        case "intensity":
            intensity.run(again=given.again)
        case "cost":
            cost.run(again=given.again)
        case "ptychi":
            peers.run(*given.settings, epochs=given.epochs, python=given.python, again=given.again)
        case "picture":
            picture.draw()


if __name__ == "__main__":
    main()
