"""What the page says to type can be typed, and what its table promises is declared."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import time
from pathlib import Path
from typing import Any

from support.measured import measured

from otel_kpi.packs.chat.instruments import PACK

PAGE = (Path(__file__).parents[4] / "docs" / "chat.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


async def _answer(_question: str) -> str:
    return "yes"


def test_every_block_of_the_page_runs() -> None:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    names: dict[str, Any] = {
        "app": FastAPI(),
        "PlainTextResponse": PlainTextResponse,
        "complete": _answer,
        "question": "really?",
        "time": time,
    }
    with measured(prefixes={"chat": "shop"}) as seen:
        for block in BLOCKS:
            code = compile(block, "docs/chat.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            ended = eval(code, names)
            if inspect.iscoroutine(ended):
                asyncio.run(ended)
        assert seen.value("shop_messages_total", role="user", language="ar") == 1
        assert seen.value("shop_active_sessions") == 0
        assert seen.value("kpi_chat_session_duration_seconds")[0] == 2
        assert seen.points("gen_ai_client_operation_duration_seconds")
    assert len(BLOCKS) == 5


def test_the_table_of_the_fourteen_is_what_is_declared() -> None:
    rows = re.findall(r"^\| `_(\w+)` \| ([^|]*)\|", PAGE, re.MULTILINE)
    shown = {name: [each.partition(":")[0].strip() for each in _labels(labels)] for name, labels in rows}
    declared = {
        each.series_name.removeprefix("chat_"): [attribute.name for attribute in each.attributes]
        for each in PACK.instruments
        if each.compatibility
    }
    assert shown == declared


def _labels(cell: str) -> list[str]:
    return [each for each in re.sub(r": [\w ,]+", ":", cell).split(",") if each.strip()]
