"""Start the command line as a module: `python -m ptychonyx.cli`."""

from . import main

main()
