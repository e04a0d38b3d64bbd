"""What docs/security.md shows does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.measured import measured

from otel_kpi.packs.security import instruments

PAGE = (Path(__file__).parents[4] / "docs" / "security.md").read_text(encoding="utf-8")


def test_examples_of_the_page_run_and_record() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 1
    with measured() as series:
        names: dict[str, object] = {"may_read": {"orders": False}.get}
        exec(compile(blocks[0], "security.md", "exec"), names)
        create_order = names["create_order"]
        assert callable(create_order)
        create_order(SimpleNamespace(may_order=True))
        with pytest.raises(PermissionError):
            create_order(SimpleNamespace(may_order=False))
        kinds = series.points("kpi_security_intrusion_attempts_total")
        assert {labels[0][1]: point.value for labels, point in kinds.items() if point.value} == {
            "sql_injection": 1
        }
        results = {
            (labels[0][1], labels[1][1]): point.count
            for labels, point in series.points("kpi_security_secured_request_duration_seconds").items()
        }
        assert results == {
            ("orders.create", "allowed"): 1,
            ("orders.create", "denied"): 1,
            ("orders.read", "denied"): 1,
        }
        assert series.value("kpi_security_sanitizations_total", kpi_security_sanitization_kind="html") == 3
        assert len(series.labels("kpi_security_auth_attempts_total")) == 2


def test_every_series_reason_and_event_is_on_the_page() -> None:
    own = [each.series_name for each in instruments.PACK.instruments]
    wanted = [*own, *instruments.REASONS, *(each.name for each in instruments.PACK.events)]
    assert [each for each in wanted if each not in PAGE] == []
