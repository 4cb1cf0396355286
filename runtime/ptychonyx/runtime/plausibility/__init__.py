"""Tell whether a scan can be right before any work is done, and repair what can be repaired."""

from .check import SCAN_FINDINGS as SCAN_FINDINGS
from .check import Checked as Checked
from .check import check_scan as check_scan
from .check import look_at as look_at
from .check import make_plausible as make_plausible
from .finding import Finding as Finding
from .finding import log_findings as log_findings
from .finding import refuse_wrong as refuse_wrong
from .physics import absorption_text as absorption_text
from .positions import far_positions as far_positions
from .positions import median_step_px as median_step_px
from .repairs import Repairs as Repairs
from .seen import Seen as Seen
