"""What `solving.py` measures: the passes of the solver, each figure beside its bound."""

import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[2])
if TESTS not in sys.path:  # a script finds only what lies beside it, and the star's twin lies there
    sys.path.append(TESTS)
