"""The fields of a Ptychodus product, and how they lie in a file."""
