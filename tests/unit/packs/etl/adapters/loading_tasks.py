"""Tasks of Celery's that are runs of pipelines: `celery -A loading_tasks worker`."""

# pyright: reportUntypedFunctionDecorator=false
# Celery has no types.

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Ignore

from otel_kpi import etl

FOLDER = Path(os.environ["LOADING_FOLDER"])
app = Celery("loading", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER / "queue"),
    "data_folder_out": str(FOLDER / "queue"),
    "control_folder": str(FOLDER / "control"),
    "polling_interval": 0.05,
}


def done(name: str) -> None:
    (FOLDER / "done" / name).touch()


@app.task(bind=True, max_retries=3)
@etl.pipeline("refresh", model="marketing")
def refresh(self: Any, rows: int) -> None:
    with etl.stage("store") as stage:
        stage.written(rows)
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("later"), countdown=0)
    done("refresh")


@app.task
@etl.pipeline("optional")
def ignored() -> None:
    done("ignored")
    raise Ignore


@app.task(soft_time_limit=1)
@etl.pipeline("slow")
def slow() -> None:
    done("slow")
    time.sleep(30)  # until the limit ends it


@app.task
def outer() -> None:
    """Two runs in one task; the second is called as a function and no attempt of anything."""
    with etl.run("first"), etl.run("inner"):
        pass
    done("outer")
