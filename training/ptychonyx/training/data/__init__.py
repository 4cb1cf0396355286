"""Scans made ready for training."""
