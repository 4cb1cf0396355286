"""The one file that Ptychodus discovers.

Its loader ends the application on most exceptions of a plugin, so nothing but logging is imported
here, and nothing leaves `register_plugins`.
"""

from __future__ import annotations

import logging
from typing import Any

_logger = logging.getLogger("ptychonyx.ptychodus")


def register_plugins(registry: Any) -> None:
    """Add Ptychonyx to Ptychodus, or say in one warning why not."""
    try:
        from ptychonyx_ptychodus.hook import register

        register(registry)
    except Exception as error:  # the border: Ptychodus starts whatever is wrong with us
        _logger.warning("Ptychonyx is switched off: %s", error, exc_info=True)
