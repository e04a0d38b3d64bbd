"""Commands whose reader goes away end quietly, as in `otel-kpi settings | head -1`."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.children import BIN, environment

if TYPE_CHECKING:
    from pathlib import Path

SIGPIPE_STATUS = 141


def piped(command: str, env: dict[str, str], folder: Path) -> tuple[list[str], str]:
    """Statuses of the parts of a pipe, and what was said on standard error."""
    ended = subprocess.run(
        ["bash", "-c", f'{command}; echo "${{PIPESTATUS[@]}}" > status'],
        env=env, cwd=folder, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return (folder / "status").read_text().split(), ended.stderr


@pytest.mark.parametrize("size", [1, 200_000])
def test_reader_that_has_gone_is_no_error(tmp_path: Path, size: int) -> None:
    (tmp_path / "document.json").write_text(json.dumps({"text": "words " * size}))
    command = f"{BIN / 'otel-kpi'} redact document.json | true"
    statuses, errors = piped(command, environment(), tmp_path)
    assert errors == ""
    assert statuses == [str(SIGPIPE_STATUS), "0"]


@pytest.mark.parametrize("command", ["settings", "--help", "doctor --no-send --json"])
def test_each_command_ends_quietly(tmp_path: Path, command: str) -> None:
    statuses, errors = piped(f"{BIN / 'otel-kpi'} {command} | true", environment(), tmp_path)
    assert errors == ""
    assert statuses[1] == "0"
