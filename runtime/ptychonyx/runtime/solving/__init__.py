"""Passes over a scan that solve for its object by physics alone, without a model."""
