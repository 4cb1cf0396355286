"""How arrays lie in files: one border for each library that reads them, and the same face for all."""
