"""Which way round patterns and positions are: what explains the patterns tells."""

from .search import Orientation as Orientation
from .search import check_orientation as check_orientation
from .search import orientation_finding as orientation_finding
