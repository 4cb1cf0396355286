"""What a reconstruction says when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .console.terminal import say

if TYPE_CHECKING:
    from ptychonyx.runtime.product import Product

FAR_WORSE = 3.0
"""A network's result that leaves so many times what passes leave does not fit the scan."""


def say_what_came_out(
    product: Product, output: Path, *, provider: str | None, is_probe_kept: bool
) -> None:
    """Print what a product is, how it was made, and how far it can be believed."""
    for line in describe_outcome(product, output, provider=provider, is_probe_kept=is_probe_kept):
        say(line)


def describe_outcome(
    product: Product, output: Path, *, provider: str | None, is_probe_kept: bool
) -> list[str]:
    """Return these sentences.

    Parameters
    ----------
    product : Product
    output : path
        Where it was written.
    provider : str or None
        Where a network ran; None if there was none.
    is_probe_kept : bool
        Whether a probe of more power than the counts was to be kept.
    """
    assert product.coverage is not None
    share = 100 * float((product.coverage > 0).mean())
    how = _by_passes(product) if provider is None else f"on {provider}"
    lines = [
        f"Wrote {output}: {product.num_patterns_used} of {len(product.corners_px)} patterns, "
        f"{share:.0f} % of {product.object_.shape[0]}×{product.object_.shape[1]} covered, {how}, "
        f"{product.metadata['total_s']:.2f} s."
    ]
    if "passes" in product.metadata:
        lines += [
            *_of_passes(product),
            *_of_positions(product),
            *_of_disturbances(product),
            *_of_probe_power(product, is_probe_kept=is_probe_kept),
        ]
    elif "residual" in product.metadata:
        lines += [_of_residual(product), *_of_probe_power(product, is_probe_kept=is_probe_kept)]
    if product.metadata["probe_source"] == "estimated":
        lines.append(_of_estimated_probe(product))
    lines += _of_halves(product)
    return [*lines, *needed(product), *doubts(product)]


def needed(product: Product) -> list[str]:
    """Return which options the scan needs, a line each."""
    from ptychonyx.runtime.belief import needs

    return [f"NEEDED: --{need.name}. {need.evidence}: {need.cure}." for need in needs(product)]


def doubts(product: Product) -> list[str]:
    """Return why a product should not be believed, a line each."""
    from ptychonyx.runtime.belief import judge

    return [f"NOT BELIEVABLE: {finding}" for finding in judge(product)]


def _by_passes(product: Product) -> str:
    providers = product.metadata.get("pass_providers")
    return f"by passes on {str(providers).split(', ')[0]}" if providers else "by passes"


def _of_halves(product: Product) -> list[str]:
    metadata = product.metadata
    if "resolution_missing" in metadata:
        return [f"No resolution could be told: {metadata['resolution_missing']}."]
    if "resolution_px" not in metadata:
        return []
    nanometers = (
        f" = {float(metadata['resolution_nm']):.3g} nm" if "resolution_nm" in metadata else ""
    )
    return [
        f"Two halves of the patterns agree down to a period of {float(metadata['resolution_px']):.2f} "
        f"px{nanometers} (half-bit threshold of their Fourier ring correlation)."
    ]


def _of_estimated_probe(product: Product) -> str:
    if product.metadata.get("probe_refined"):
        return (
            "The scan has no probe: it was found from the patterns, with "
            f"{count_modes(len(product.probe))}."
        )
    return "Note: neither scan nor model has a probe; the stored one is an estimate."


def count_modes(number: int) -> str:
    """Return a number of modes in words.

    Examples
    --------
    >>> count_modes(1), count_modes(3)
    ('1 mode', '3 modes')
    """
    return "1 mode" if number == 1 else f"{number} modes"


def _of_passes(product: Product) -> list[str]:
    metadata = product.metadata
    lines = [f"{count_passes(int(metadata['passes']))}: {metadata['stopped']}."]
    if "use_of_network" in metadata:
        lines.append(f"The network between passes was {metadata['use_of_network']}.")
    if "residual" not in metadata:
        return lines
    lines.append(_of_residual(product))
    if "network_residual" in metadata:
        before, after = float(metadata["network_residual"]), float(metadata["residual"])
        lines.append(f"Before the passes, the network's result left {100 * before:.2f} %.")
        if before > FAR_WORSE * after:
            lines.append("This network does not fit the scan: the passes made the result.")
    return lines


def _of_positions(product: Product) -> list[str]:
    """Say how far positions have moved, and which of them may be wrong still."""
    metadata = product.metadata
    if "positions_moved_px" not in metadata:
        return []
    lines = [
        f"Positions moved by {float(metadata['positions_moved_px']):.2f} px (root mean square)"
        f" from where the scan has them ({metadata['positions_refined']})."
    ]
    if "positions_at_bound" in metadata:
        lines.append(
            f"At the bound of {metadata['positions_bound_px']} px, and not to be trusted: "
            f"{metadata['positions_at_bound']}."
        )
    return lines


def _of_disturbances(product: Product) -> list[str]:
    """Say what was fitted beside object and probe."""
    metadata = product.metadata
    lines = []
    if "start_disturbances" in metadata:
        taken = metadata["start_disturbances"]
        lines.append(f"The passes started with {taken} of {metadata['start']}, as fitted there.")
    if "intensity_spread" in metadata:
        spread = 100 * float(metadata["intensity_spread"])
        lines.append(f"The brightness of patterns was fitted: it varies by {spread:.1f} % (rms).")
    if "background_share" in metadata:
        share = 100 * float(metadata["background_share"])
        lines.append(f"A background was fitted: it has {share:.1f} % of the counts.")
    return lines


def count_passes(number: int) -> str:
    """Return a number of passes in words.

    Examples
    --------
    >>> count_passes(1), count_passes(2)
    ('1 pass', '2 passes')
    """
    return "1 pass" if number == 1 else f"{number} passes"


def _of_residual(product: Product) -> str:
    return (
        f"It leaves {100 * float(product.metadata['residual']):.2f} % of the measured amplitude "
        f"unexplained ({product.metadata['residual_patterns']} patterns looked at)."
    )


def _of_probe_power(product: Product, *, is_probe_kept: bool) -> list[str]:
    """Say what was decided about the power of the probe, if there was anything to decide."""
    import numpy as np

    from ptychonyx.runtime.scaling import COUNTS_AGREE, PROBE_RATIO_RANGE

    ratio = float(product.metadata["probe_counts_ratio"])
    if COUNTS_AGREE[0] <= ratio <= COUNTS_AGREE[1]:
        return []
    if not is_probe_kept or not PROBE_RATIO_RANGE[0] <= ratio <= PROBE_RATIO_RANGE[1]:
        return [
            f"The probe's power ({ratio:.3g} times the counts) was fitted to the counts: absorption "
            "can no longer be told."
        ]
    assert product.coverage is not None
    mean = float(np.abs(product.object_[product.coverage > 0]).mean())
    return [
        f"The probe carries {ratio:.3g} times the counts: taken as absorption, mean |O| {mean:.2f}; "
        "`--probe-scale fit` if its unit is another."
    ]
