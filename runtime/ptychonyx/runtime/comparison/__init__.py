"""How two objects of one specimen compare."""
