"""Training in PyTorch Lightning; the twin of `ptychonyx.training.tensorflow`."""
