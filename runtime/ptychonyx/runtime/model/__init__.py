"""A model file: checked, started, run, measured."""
