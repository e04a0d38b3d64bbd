"""What is written from the declarations, and the commands that write and print it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from otel_kpi.cli import main
from otel_kpi.model import Attribute, Counter, Derivation, Event, Pack, Renamed, Span
from otel_kpi.packs import own_packs
from otel_kpi.reference import generated, undeclared_renames
from otel_kpi.reference.files import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

KIND = Attribute(name="kpi.test.kind", brief="What it is.", members=("good", "bad"))
ROUTE = Attribute(name="http.route", brief="The route.", budget=100, source="OpenTelemetry HTTP conventions")
THINGS = Counter(
    name="kpi.test.things",
    unit="{thing}",
    brief="Things.",
    attributes=(KIND, ROUTE),
    source="B1",
    systems=("S0",),
)
OLDER = Counter(
    name="{chat}.things", unit="{thing}", brief="Things.", attributes=(KIND,), source="S2", compatibility=True
)
PACK = Pack(
    name="test",
    title="Test",
    brief="A test.",
    instruments=(THINGS, OLDER),
    spans=(
        Span(
            id="kpi.test",
            name="test {kpi.test.kind}",
            kind="internal",
            brief="A test.",
            attributes=(KIND,),
            source="B1",
        ),
    ),
    events=(Event(name="kpi.test.done", brief="It is done.", attributes=(KIND,), source="B1"),),
    derivations=(
        Derivation(
            source="http.server.request.duration",
            target=OLDER,
            attributes=(("=good",),),
            where={"http.route": ()},
            amount="one",
        ),
    ),
    renamed=(Renamed("kpi.test.objects", "kpi.test.things", "0.2", "Objects are things."),),
)


def test_the_registry_is_in_the_format_of_weaver() -> None:
    files = generated((PACK,), "1.0.0")
    content: dict[str, Any] = yaml.safe_load(files["registry/test.yaml"])
    assert content["file_format"] == "definition/2"
    # OpenTelemetry defines http.route, so it is only referred to.
    assert [each["key"] for each in content["attributes"]] == ["kpi.test.kind"]
    assert [each["value"] for each in content["attributes"][0]["type"]["members"]] == ["good", "bad"]
    [metric] = content["metrics"]
    assert (metric["name"], metric["instrument"], metric["unit"]) == ("kpi.test.things", "counter", "{thing}")
    assert [each["ref"] for each in metric["attributes"]] == ["kpi.test.kind", "http.route"]
    assert metric["annotations"]["prometheus"] == "kpi_test_things_total"
    assert content["spans"][0]["name"] == {"note": "test {kpi.test.kind}"}
    assert content["events"][0]["name"] == "kpi.test.done"
    manifest = yaml.safe_load(files["registry/manifest.yaml"])
    assert manifest["schema_url"].endswith("/1.0.0")


def test_the_page_has_every_part_of_a_pack() -> None:
    page = generated((PACK,), "1.0.0")["test.md"]
    for part in (
        "`kpi_test_things_total`",
        "`<chat_prefix>_things_total`",
        "At most 408 series",
        "`good`, `bad`",
        "`kpi.test.done`",
        "| `http.server.request.duration` | `http.route` | `<chat_prefix>.things` | counted; `kpi.test.kind` from `good` |",
        "`kpi.test.objects` | `kpi.test.things` | 0.2",
    ):
        assert part in page


def test_an_attribute_is_defined_once_in_the_registry() -> None:
    files = generated((PACK, replace(PACK, name="two")), "1.0.0")
    assert "attributes" not in yaml.safe_load(files["registry/two.yaml"])


def test_no_name_vanishes_without_a_word() -> None:
    before = generated((PACK,), "1.0.0")[CATALOGUE]
    gone = replace(PACK, instruments=(OLDER,))
    other = replace(PACK, instruments=(replace(THINGS, unit="By"), OLDER))
    recorded = replace(gone, renamed=(Renamed("kpi.test.things", "", "0.3", "Nobody asked."),))
    assert undeclared_renames((PACK,), before) == []
    assert "is gone" in undeclared_renames((gone,), before)[0]
    assert "kpi_test_things_bytes_total" in undeclared_renames((other,), before)[0]
    assert undeclared_renames((recorded,), before) == []


def test_generate_writes_and_check_sees_what_was_changed_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "reference")
    assert main(["generate", "--output", folder, "--check"]) == 1
    assert main(["generate", "--output", folder]) == 0
    assert main(["generate", "--output", folder, "--check"]) == 0
    capsys.readouterr()
    page = tmp_path / "reference" / "etl.md"
    page.write_text(page.read_text().replace("At most", "Up to"))
    (tmp_path / "reference" / "gone.md").write_text("<!-- Generated from x by `otel-kpi generate`; -->")
    assert main(["generate", "--output", folder, "--check"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" is not")[0].rpartition("/")[2] for line in said] == ["etl.md", "gone.md"]
    assert main(["generate", "--output", folder]) == 0
    assert main(["generate", "--output", folder, "--check"]) == 0


def test_the_catalogue_has_every_instrument_with_its_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogue", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["instruments"]
    assert len(rows) == sum(len(pack.instruments) for pack in own_packs())
    by_name = {row["prometheus"]: row for row in rows}
    assert by_name["kpi_etl_quality_score"]["labels"] == {"model_name": 40}
    assert by_name["kpi_analytics_anomalies_detected_total"]["systems"] == ["S0"]
    assert all(row["series"] <= 2000 and row["source"] and row["brief"] for row in rows)
    assert main(["catalogue", "etl"]) == 0
    assert "kpi_etl_quality_score" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["catalogue", "generate"])
def test_an_unknown_pack_is_said_with_those_that_there_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "etll"]) == 2
    assert "no pack etll; there are analytics" in capsys.readouterr().err
