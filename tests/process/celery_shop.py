"""The tasks of the tests of Celery, as an application has them: `celery -A celery_shop worker`."""

# pyright: reportUntypedFunctionDecorator=false
# Celery has no types.

from __future__ import annotations

import logging
import os
import sqlite3
import time
import urllib.request
from pathlib import Path
from typing import Any

from celery import Celery
from celery.utils.log import get_task_logger

FOLDER = Path(os.environ["SHOP_FOLDER"])
app = Celery("shop", broker=os.environ["SHOP_BROKER"], backend=(FOLDER / "results").as_uri())
if os.environ["SHOP_BROKER"].startswith("filesystem"):
    app.conf.broker_transport_options = {
        "data_folder_in": str(FOLDER / "queue"),
        "data_folder_out": str(FOLDER / "queue"),
        "control_folder": str(FOLDER / "control"),
    }
app.conf.worker_hijack_root_logger = os.environ.get("SHOP_HIJACK", "1") == "1"
app.conf.beat_schedule = {"clean": {"task": "celery_shop.pack", "schedule": 0.3, "args": (1,)}}
app.conf.beat_schedule_filename = str(FOLDER / "schedule")

task_log = get_task_logger(__name__)
plain_log = logging.getLogger("shop.plain")


@app.task
def pack(item: int) -> int:
    task_log.info("packs %d", item)
    return item


@app.task
def talk(item: int) -> None:
    task_log.warning("task log %d", item)
    plain_log.warning("plain log %d", item)
    print(f"printed {item}")


@app.task
def count(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def fail() -> None:
    raise ValueError("no stock")


@app.task(throws=(LookupError,))
def refuse() -> None:
    raise LookupError("not ours")


@app.task(bind=True, max_retries=2)
def retry(self: Any) -> int:
    if self.request.retries < 2:
        raise self.retry(exc=KeyError("later"), countdown=0)
    return int(self.request.retries)


@app.task
def work(url: str) -> None:
    with sqlite3.connect(FOLDER / "shop.db") as connection:
        connection.cursor().execute("SELECT 1").fetchall()
    connection.close()
    urllib.request.urlopen(url, data=b"", timeout=5).close()


@app.task(time_limit=1)
def sleep() -> None:
    time.sleep(60)


@app.task
def die() -> None:
    os.kill(os.getpid(), 9)
