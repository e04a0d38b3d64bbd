"""What a command is told, and what of ours it is not to find."""

from __future__ import annotations

import os
import sys
import sysconfig

import pytest

from otel_kpi.dev.environment import child_environment

OURS = sysconfig.get_path("scripts")


def child(environ: dict[str, str]) -> dict[str, str]:
    return child_environment(environ, "http://127.0.0.1:4318", "", "/app", ("python", "app.py"))[0]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        # uvx puts its environment first, before the one that is active.
        ({"UV": "/bin/uv"}, ["/app/.venv/bin", "/bin"]),
        ({"UV": "/bin/uv", "VIRTUAL_ENV": "/app/.venv"}, ["/app/.venv/bin", "/bin"]),
        # uv run, and who has us in the environment of the application.
        ({"UV": "/bin/uv", "VIRTUAL_ENV": sys.prefix}, [OURS, "/app/.venv/bin", "/bin"]),
        ({"UV": "/bin/uv", "VIRTUAL_ENV": "/of/a/shell/around"}, [OURS, "/app/.venv/bin", "/bin"]),
        ({"VIRTUAL_ENV": sys.prefix}, [OURS, "/app/.venv/bin", "/bin"]),
        ({}, [OURS, "/app/.venv/bin", "/bin"]),
    ],
)
def test_programs_are_those_of_the_application(more: dict[str, str], found: list[str]) -> None:
    path = os.pathsep.join([OURS, "/app/.venv/bin", "/bin"])
    assert child({"PATH": path, **more})["PATH"].split(os.pathsep) == found


def test_without_a_path_there_is_none() -> None:
    assert "PATH" not in child({"UV": "/bin/uv"})


def test_what_is_meant_for_another_receiver_does_not_come_along() -> None:
    told = child(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://elsewhere.example",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://elsewhere.example/logs",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "key.pem",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
            "OTEL_BSP_SCHEDULE_DELAY": "1000",
        }
    )
    otlp = {name: value for name, value in told.items() if name.startswith("OTEL_EXPORTER_OTLP_")}
    assert otlp == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
    }
    assert told["OTEL_BSP_SCHEDULE_DELAY"] == "1000"
