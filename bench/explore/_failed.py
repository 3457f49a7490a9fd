"""The records that are not in a store's data, and why."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._advice import advise
from bench.explore._index import cut


class Failed:
    """Records that failed, and those that were left out on purpose.

    Parameters
    ----------
    manifest : dict of array (m,)
        The store's.
    """

    def __init__(self, manifest: dict[str, npt.NDArray[Any]]) -> None:
        self._manifest = manifest
        self._kind = manifest["kind"]
        self._failed = manifest["status"] == "failed"
        self._left_out = manifest["status"] == "left_out"

    def kinds(self) -> list[dict[str, Any]]:
        """Return each kind with its number of records: failures first, the most frequent first."""
        found = []
        for status, here in (("failed", self._failed), ("left_out", self._left_out)):
            counts = Counter(self._kind[here].tolist()).most_common()
            found += [{"status": status, "kind": kind, "count": count} for kind, count in counts]
        return found

    def page(self, kind: str | None, number: int, size: int) -> dict[str, Any]:
        """Return a page of the records of a kind, or of all that failed.

        Parameters
        ----------
        kind : str or None
        number : int
            Which page, from 1.
        size : int
        """
        if kind is None:
            fits = self._failed
        else:
            fits = (self._failed | self._left_out) & (self._kind == kind)
        page = cut(np.flatnonzero(fits), number, size)
        return {
            "total": page.total,
            "of": len(self._kind),
            "page": page.number,
            "pages": page.pages,
            "records": [self._describe(record) for record in page.rows.tolist()],
        }

    def _describe(self, record: int) -> dict[str, Any]:
        told = {
            name: str(self._manifest[name][record]) for name in ("id", "source", "kind", "detail")
        }
        return told | {"advice": advise(told["kind"])}
