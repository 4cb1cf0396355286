# /// script
# requires-python = ">=3.11"
# dependencies = ["ptychonyx[cpu,compare,plot]"]
# ///
"""Run the commands of tutorial pages, and keep the pictures that the pages show.

python docs/examples/tutorial_pictures.py docs/tutorial/first_picture.md docs/tutorial/own_scan.md
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parents[1] / "pictures"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"pictures/tutorial-(\w+\.png)")
COMMAND = f'ptychonyx() {{ {sys.executable} -c "from ptychonyx.cli import main; main()" "$@"; }}\nset -e\n'


def pack(path: Path, kept: Path) -> None:
    """Keep a picture in few colours and pixels: it comes with every clone."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((1500, 1500 * picture.height // picture.width))
    small.quantize(256, dither=Image.Dither.NONE).save(kept, optimize=True)


def main(pages: list[Path]) -> None:
    for page in pages:
        text = page.read_text()
        with tempfile.TemporaryDirectory() as folder:
            for kind, code in BLOCK.findall(text):
                shell, python = ("bash", "-c", COMMAND + code), (sys.executable, "-c", code)
                program = shell if kind == "sh" else python
                subprocess.run(program, cwd=folder, check=True)
            for name in SHOWN.findall(text):
                pack(Path(folder, name), PICTURES / f"tutorial-{name}")


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
