"""The training of a solver network: one loop for both backends."""
