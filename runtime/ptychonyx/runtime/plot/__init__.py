"""Draw objects, comparisons and scans. Matplotlib is imported only when something is drawn."""

from .drawing import picture_output as picture_output
from .pictures import plot_comparison as plot_comparison
from .pictures import plot_object as plot_object
from .scan_picture import plot_scan as plot_scan
