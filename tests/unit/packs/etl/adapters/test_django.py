"""Management commands of a Django project that are runs, each in a process as a person starts it."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, run, running
from support.receiver import Receiver

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from support.receiver import Received

MANAGE = """
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["coaching"], DATABASES={}, USE_TZ=True)
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SYNC = """
import pathlib, sys, time
from django.core.management.base import CommandError
from otel_kpi import etl

class Command(etl.DjangoCommand):
    pipeline = "coaching_sync"

    def add_arguments(self, parser):
        parser.add_argument("how", nargs="?", default="well")
        parser.add_argument("--backfill", nargs=2)

    def run_options(self, options):
        return {"trigger": "backfill", "nominal": options["backfill"]} if options["backfill"] else {"trigger": "manual"}

    def handle(self, *args, **options):
        with etl.stage("load") as stage:
            stage.written(12)
            if options["how"] == "badly":
                raise CommandError("the source is not there", returncode=3)
            if options["how"] == "exit":
                sys.exit(4)
            if options["how"] == "long":
                pathlib.Path("begun").touch()
                time.sleep(30)  # until the signal comes
        self.stdout.write("synchronised")
        return "done"
"""
NIGHTLY = """
from django.core.management.base import BaseCommand
from otel_kpi.packs.etl.adapters.django import RunOfCommand

class House(BaseCommand):
    greeting = "of the house"

class Command(RunOfCommand, House):
    def handle(self, *args, **options):
        self.stdout.write(self.greeting)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


class Project:
    """A Django project with two commands, and how to call them."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        commands = folder / "coaching" / "management" / "commands"
        commands.mkdir(parents=True)
        for package in (commands, commands.parent, commands.parent.parent):
            (package / "__init__.py").touch()
        (commands / "sync.py").write_text(SYNC)
        (commands / "nightly.py").write_text(NIGHTLY)
        (folder / "manage.py").write_text(MANAGE)
        self.folder = folder
        self.receiver = receiver
        self.env = environment(receiver.url, OTEL_SERVICE_NAME="coaching")

    def call(self, *arguments: str, launcher: tuple[str, ...] = RUN) -> subprocess.CompletedProcess[str]:
        return run([*launcher, sys.executable, "manage.py", *arguments], self.env, self.folder)

    def only_run(self, name: str = "coaching_sync") -> Received:
        (only,) = self.receiver.named(f"run {name}")
        return only


@pytest.fixture
def project(tmp_path: Path, receiver: Receiver) -> Project:
    return Project(tmp_path, receiver)


def test_command_is_a_run_with_its_stages_and_its_records(project: Project, receiver: Receiver) -> None:
    ended = project.call("sync")
    assert (ended.returncode, ended.stdout) == (0, "synchronised\ndone\n"), ended.stderr
    only = project.only_run()
    assert only.attributes["kpi.etl.result"] == "success"
    assert only.attributes["kpi.etl.run.trigger"] == "manual"
    assert only.attributes["kpi.etl.records.written"] == 12
    (stage,) = receiver.named("load coaching_sync")
    assert stage.item.parent_span_id == only.item.span_id
    assert receiver.counted("kpi.etl.records.processed") == [12]


def test_backfill_says_of_which_days(project: Project) -> None:
    project.call("sync", "--backfill", "2026-11-01", "2026-11-02")
    attributes = project.only_run().attributes
    assert attributes["kpi.etl.run.trigger"] == "backfill"
    assert (attributes["kpi.etl.run.nominal_start"], attributes["kpi.etl.run.nominal_end"]) == (
        "2026-11-01",
        "2026-11-02",
    )


@pytest.mark.parametrize(
    ("how", "code", "result"),
    [("badly", 3, "error"), ("exit", 4, "cancellation")],
    ids=["CommandError", "exit"],
)
def test_command_that_fails_ends_as_without_us_and_says_so(
    project: Project, how: str, code: int, result: str
) -> None:
    ended = project.call("sync", how)
    assert ended.returncode == code
    assert project.only_run().attributes["kpi.etl.result"] == result
    assert ended.stderr == project.call("sync", how, launcher=()).stderr


def test_command_that_a_signal_ends_is_cancelled(project: Project) -> None:
    with running([*RUN, sys.executable, "manage.py", "sync", "long"], project.env, project.folder) as process:
        deadline = time.monotonic() + 20
        while not (project.folder / "begun").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)  # a poll with a deadline: the command is another process
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
    assert project.only_run().attributes["kpi.etl.result"] == "cancellation"


def test_any_command_class_can_be_a_run_and_is_named_by_its_module(project: Project) -> None:
    ended = project.call("nightly")
    assert (ended.returncode, ended.stdout) == (0, "of the house\n"), ended.stderr
    assert project.only_run("nightly").attributes["kpi.etl.result"] == "success"


def test_command_without_telemetry_is_the_same_command(project: Project, receiver: Receiver) -> None:
    ended = project.call("sync", launcher=())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "synchronised\ndone\n", "")
    assert not receiver.requests


def test_command_that_a_long_process_calls_is_sent_when_it_ends(project: Project, receiver: Receiver) -> None:
    program = project.folder / "server.py"
    program.write_text(
        MANAGE.replace("execute_from_command_line(sys.argv)", "")
        + """
import django, os
django.setup()
from django.core.management import call_command
call_command("sync")
os._exit(0)  # nothing of ours runs after it
"""
    )
    ended = run([*RUN, sys.executable, str(program)], project.env, project.folder)
    assert ended.returncode == 0, ended.stderr
    assert project.only_run().attributes["kpi.etl.result"] == "success"
    assert receiver.counted("kpi.etl.records.processed") == [12]
