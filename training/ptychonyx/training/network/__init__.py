"""A network as data: its layers, its weights, its constants."""
