"""Files that are whole or absent, outputs that are checked before any work, and the cache folder."""

from .cache import CACHE_VARIABLE as CACHE_VARIABLE
from .cache import cache_folder as cache_folder
from .outputs import Output as Output
from .outputs import OutputFolder as OutputFolder
from .outputs import check_outputs as check_outputs
from .outputs import is_same_file as is_same_file
from .writing import digest_of as digest_of
from .writing import temporary_folder as temporary_folder
from .writing import write_atomically as write_atomically
from .writing import write_json as write_json
from .writing import write_text as write_text
