"""Fill in what the pages of the reference take from the code when the site is built.

MkDocs calls `on_page_markdown` for each page (`hooks` in mkdocs.yml). A line `<!-- commands -->` becomes all
commands, `<!-- settings of NAME -->` a table of the fields of that dataclass. No framework is imported.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [str(ROOT / part) for part in ("runtime", "export", "training")]
sys.path[:0] = [path for path in SOURCES if path not in sys.path]

from command_help import commands  # noqa: E402 (beside this file; both need the sources)
from settings_tables import settings  # noqa: E402


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the Markdown of a page with commands and settings in their places."""
    filled = re.sub(r"^<!-- commands -->$", lambda _: commands(), markdown, flags=re.MULTILINE)
    place = r"^<!-- settings of (\w+) -->$"
    return re.sub(place, lambda found: settings(found[1]), filled, flags=re.MULTILINE)
