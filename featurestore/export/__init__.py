"""Export: a finished store in a form that other programs read. ``docs/exchange.md`` has the forms.

Each form is written in parts, so that memory doesn't grow with the store, and aside, so that what
stands under the final name is always whole.
"""

from featurestore.export._export import FORMATS, default_target, export_store

__all__ = ["FORMATS", "default_target", "export_store"]
