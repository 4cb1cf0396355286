"""One scan without noise, and threads to solve it with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from solver_oracle import Exact, make_exact


@pytest.fixture(scope="session")
def exact() -> Exact:
    """Forty patterns of 32×32 from two modes, at fractions of pixels."""
    return make_exact()


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads
