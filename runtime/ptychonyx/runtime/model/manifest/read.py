"""Read a manifest of any kind."""

from __future__ import annotations

from ...errors import ManifestError
from .facts import load_document
from .patches import Manifest
from .solver import SolverManifest

AnyManifest = Manifest | SolverManifest
KINDS: dict[str, type[Manifest] | type[SolverManifest]] = {
    each.KIND: each for each in (Manifest, SolverManifest)
}
"""Kind of model -> the class of its manifest."""


def read_manifest(document: str) -> AnyManifest:
    """Read a manifest from its JSON document; keys that a newer minor version added are ignored.

    Raises
    ------
    ManifestError
        If it is not JSON, of a newer major version or a kind that is not known, or a field is
        missing or wrong.

    Examples
    --------
    >>> read_manifest('{"schema_version": "2.0"}')
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: The manifest has schema version 2.0, but this version \
of Ptychonyx reads 1.x; install a newer Ptychonyx.
    >>> read_manifest('{"schema_version": "1.9", "kind": "pictures"}')
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: The manifest is of a model of kind `pictures`, but this \
version of Ptychonyx knows patches, solver; install a newer Ptychonyx.
    """
    kind, values = load_document(document)
    if kind not in KINDS:
        raise ManifestError(
            f"The manifest is of a model of kind `{kind[:80]}`, but this version of Ptychonyx knows "
            f"{', '.join(KINDS)}; install a newer Ptychonyx."
        )
    return KINDS[kind].from_values(values)
