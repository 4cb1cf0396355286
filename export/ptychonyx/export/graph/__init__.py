"""The exported graph: assembled, reduced to what its output needs, converted to fewer bits."""
