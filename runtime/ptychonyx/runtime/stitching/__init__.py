"""Patches in, an object out."""
