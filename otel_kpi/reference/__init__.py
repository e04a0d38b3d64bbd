"""What is written from the declarations of packs: the catalogue, the reference pages, the registry of conventions."""

from otel_kpi.reference.catalogue import Entry, entries
from otel_kpi.reference.files import generated, undeclared_renames

__all__ = ["Entry", "entries", "generated", "undeclared_renames"]
