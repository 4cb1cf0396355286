"""Stitch overlapping patches into an object; `patches.py` draws canvas, window, patch and corner."""

from .mosaic import Mosaic as Mosaic
from .mosaic import Stitched as Stitched
from .patches import Canvas as Canvas
from .patches import canvas_for as canvas_for
from .patches import cut_patches as cut_patches
from .patches import patch_weights as patch_weights
