"""Patterns that are not as bright as each other, and light that is in all of them."""
