"""`python -m ptychonyx.cli`, for whoever starts it as a module."""

from . import main

main()
