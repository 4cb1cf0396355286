"""Simulated scans of every kind, at random stages of being solved: what a solver network learns from."""
