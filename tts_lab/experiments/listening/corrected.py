"""p-values of several tests at once."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected after Holm (1979), so that a true null hypothesis is rejected in at most alpha of all studies."""
    if len(p_values) < 2:  # statsmodels collects all garbage of the process at every call
        return list(p_values)
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]]
