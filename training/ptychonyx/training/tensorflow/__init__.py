"""Training in TensorFlow; the twin of `ptychonyx.training.pytorch`."""
