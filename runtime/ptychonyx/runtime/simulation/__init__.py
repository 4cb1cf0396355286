"""Scans with their truth, drawn and computed."""
