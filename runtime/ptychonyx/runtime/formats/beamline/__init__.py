"""Formats that beamlines and other codes write: one file for each."""
