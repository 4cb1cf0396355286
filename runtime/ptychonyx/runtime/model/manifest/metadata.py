"""Put a manifest into the metadata of an ONNX file, with its sha256 beside it, and take it out again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ...errors import ManifestError
from .facts import METADATA_KEY, ModelFacts, schema_numbers
from .read import AnyManifest, read_manifest

DIGEST_KEY = f"{METADATA_KEY}_sha256"
"""Key of the manifest's sha256 among the metadata of the ONNX file."""
FIRST_WITH_DIGEST = (1, 2)
"""Schema version from which on a manifest without its sha256 is refused."""


def to_metadata(manifest: ModelFacts) -> dict[str, str]:
    """Return what an ONNX file carries to describe itself: the manifest and its sha256.

    Returns
    -------
    dict of str to str
        Entries for the metadata of the file. Equal manifests give equal entries.
    """
    return seal(manifest.to_json())


def seal(document: str) -> dict[str, str]:
    """Return a JSON document and its sha256 as entries for the metadata of an ONNX file.

    Examples
    --------
    >>> seal("{}")["ptychonyx_sha256"]
    '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
    """
    return {METADATA_KEY: document, DIGEST_KEY: _digest(document.encode())}


def read_metadata(metadata: Mapping[str, bytes | memoryview]) -> AnyManifest:
    """Return the manifest among the metadata of an ONNX file, once its sha256 was found right.

    A manifest of a schema before 1.2 may come without one.

    Parameters
    ----------
    metadata : mapping of str to bytes
        Has the key `METADATA_KEY`.

    Raises
    ------
    ManifestError
        If the sha256 is missing or another, or the manifest is not what it should be.

    Examples
    --------
    >>> read_metadata({"ptychonyx": b"{}", "ptychonyx_sha256": b"44136f"})
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ManifestError: The manifest has sha256 44136fa3…, but the file notes \
'44136f': one of them was changed after the export. Copy the file again, or export the model again \
with `ptychonyx export`.
    """
    document, noted = metadata[METADATA_KEY], metadata.get(DIGEST_KEY)
    if noted is not None:
        _check_digest(document, bytes(noted[:64]), len(noted))
    manifest = read_manifest(document)
    if noted is None and schema_numbers(manifest.schema_version) >= FIRST_WITH_DIGEST:
        raise ManifestError(
            f"The manifest has schema version {manifest.schema_version}, but the file has no "
            f"`{DIGEST_KEY}` beside it, which every one from "
            f"{'.'.join(map(str, FIRST_WITH_DIGEST))} on needs. Copy the file again, or export the "
            "model again with `ptychonyx export`."
        )
    return manifest


def _check_digest(document: bytes | memoryview, noted: bytes, noted_length: int) -> None:
    digest = _digest(document)
    if noted_length != len(digest) or noted != digest.encode():
        shown = f"{noted[:8].decode('ascii', 'replace')!r}"
        raise ManifestError(
            f"The manifest has sha256 {digest[:8]}…, but the file notes {shown}: one of them was "
            "changed after the export. Copy the file again, or export the model again with "
            "`ptychonyx export`."
        )


def _digest(document: bytes | memoryview) -> str:
    return hashlib.sha256(document).hexdigest()
