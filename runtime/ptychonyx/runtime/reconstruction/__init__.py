"""A scan and a model in, a product out."""
