"""Stitch overlapping patches into an object; `patches.py` draws canvas, window, patch and corner."""
