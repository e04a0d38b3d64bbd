"""The files that follow from the declarations, and what may not vanish from them in silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otel_kpi.reference import pages, registry
from otel_kpi.reference.catalogue import entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.model import Pack

CATALOGUE = "catalogue.json"

_GENERATED = "# Generated from otel_kpi/packs/{}/instruments.py by `otel-kpi generate`; do not edit.\n"


def generated(packs: tuple[Pack, ...], version: str) -> dict[str, str]:
    """The text of every file by its path below the reference's folder.

    Raises:
        ImportError: PyYAML is not installed; `otel-kpi[config]` brings it.
    """
    import yaml

    def text(content: Mapping[str, Any]) -> str:
        return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)

    files = {"index.md": pages.index(packs)}
    files |= {f"{pack.name}.md": pages.page(pack) for pack in packs}
    files["registry/manifest.yaml"] = _GENERATED.format("*") + text(registry.manifest(version))
    for number, pack in enumerate(packs):
        content = registry.definitions(pack, registry.defined(packs[:number]))
        files[f"registry/{pack.name}.yaml"] = _GENERATED.format(pack.name) + text(content)
    rows = [entry.as_json() for entry in entries(packs)]
    files[CATALOGUE] = (
        json.dumps({"generated_by": "otel-kpi generate", "instruments": rows}, indent=1, ensure_ascii=False)
        + "\n"
    )
    return files


def undeclared_renames(packs: tuple[Pack, ...], before: str) -> list[str]:
    """Instruments that somebody may use and that are gone, or are another series now, without a word in `renamed`.

    Args:
        packs: What is declared.
        before: The catalogue as it was.
    """
    now = {entry.name: entry.as_json() for entry in entries(packs)}
    declared = {each.old for pack in packs for each in pack.renamed}
    mine = {pack.name for pack in packs}
    found: list[str] = []
    for row in json.loads(before)["instruments"]:
        if row["pack"] not in mine or row["name"] in declared:
            continue
        successor = now.get(row["name"])
        if successor is None:
            found.append(
                f"{row['name']}: is gone; say in `renamed` of pack {row['pack']!r} what took its place"
            )
        elif any(row[key] != successor[key] for key in ("prometheus", "kind", "unit")):
            found.append(
                f"{row['name']}: was the {row['kind']} {row['prometheus']} in {row['unit']}, is the "
                f"{successor['kind']} {successor['prometheus']} in {successor['unit']}"
            )
    return found
