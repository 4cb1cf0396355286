"""Ptychonyx inside Ptychodus: an adapter around `ptychonyx.runtime`, with no arithmetic of its own."""
