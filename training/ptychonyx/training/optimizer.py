"""The optimiser's constants and formula: one for both backends.

w ← w − rate · m̂ / (sqrt(v̂) + epsilon), with bias-corrected m̂ and v̂ (Kingma and Ba, 2015,
algorithm 1). PyTorch computes this; Keras puts epsilon beside the uncorrected sqrt(v), so the
TensorFlow backend overrides that one step. With a weight decay (AdamW), w first shrinks by
rate · decay · w in both.
"""

from typing import Final, NamedTuple


class Adam(NamedTuple):
    """Constants of Adam."""

    beta_1: float
    beta_2: float
    epsilon: float


ADAM: Final = Adam(beta_1=0.9, beta_2=0.999, epsilon=1e-8)
CLIP_EPSILON: Final = 1e-6
"""Added to the norm of a gradient that may have to be shortened, as PyTorch does."""
