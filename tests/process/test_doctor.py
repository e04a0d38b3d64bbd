"""The doctor says what is wrong, what is wrong first, and what to type."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.children import BIN, RUN, environment, free_port, run, running
from support.receiver import Receiver

from otel_kpi.diagnosis import examine_environment
from otel_kpi.instrumentation import loader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCTOR = [str(BIN / "otel-kpi"), "doctor"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def examined(env: dict[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    """By the command where that makes a difference; else here, which is quicker."""
    if not options and "PYTHONPATH" not in env:
        report = examine_environment(env, timeout=3.0)
        return int(not report.healthy), json.loads(json.dumps(report.as_json()))
    ended = run([*DOCTOR, "--json", *options], env)
    return ended.returncode, json.loads(ended.stdout)


def errors(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["what"], each["advice"]) for each in report["findings"] if each["severity"] == "error"]


def test_three_signals_arrive_and_can_be_told_from_the_applications(receiver: Receiver) -> None:
    status, report = examined(environment(receiver.url, OTEL_SERVICE_NAME="shop"))
    assert (status, report["healthy"], errors(report)) == (0, True, [])
    assert [(trip["signal"], trip["answer"]) for trip in report["trips"]] == [
        ("traces", "accepted"),
        ("metrics", "accepted"),
        ("logs", "accepted"),
    ]
    everything = [*receiver.spans, *receiver.logs, *receiver.points]
    assert len(everything) == 3
    assert {each.resource["service.name"] for each in everything} == {"otel-kpi-doctor"}
    [span], [log], [point] = receiver.spans, receiver.logs, receiver.points
    assert span.attributes["otel_kpi.doctor"] == log.attributes["otel_kpi.doctor"]
    assert span.attributes["otel_kpi.doctor"] in report["trips"][0]["sent"]
    assert point.attributes == {}


def test_person_reads_what_is_wrong_first(receiver: Receiver) -> None:
    receiver.status = 401
    ended = run(DOCTOR, environment(receiver.url, OTEL_SERVICE_NAME="shop", OTEL_KPI_EXIT_BUDGET="soon"))
    lines = ended.stdout.splitlines()
    assert ended.returncode == 1
    wrong = [line for line in lines if line.startswith("✗")]
    assert lines.index(wrong[0]) < lines.index("Round trip") < lines.index("Libraries")
    assert any("refuses spans, metrics, log records: 401 Unauthorized" in line for line in wrong)
    assert any("OTEL_KPI_EXIT_BUDGET='soon' is not used" in line for line in wrong)
    assert "export OTEL_EXPORTER_OTLP_HEADERS=" in ended.stdout


def test_no_send_sends_nothing(receiver: Receiver) -> None:
    status, report = examined(environment(receiver.url, OTEL_SERVICE_NAME="shop"), "--no-send")
    assert (status, report["trips"], receiver.requests) == (0, [], [])


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (403, "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "is the base without /v1/traces"),
        (415, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        (503, "has no room now"),
    ],
)
def test_what_the_receiver_answers_has_its_advice(receiver: Receiver, status: int, advice: str) -> None:
    receiver.status = status
    code, report = examined(environment(receiver.url, OTEL_SERVICE_NAME="shop"))
    [(what, found)] = errors(report)
    assert code == 1
    assert str(status) in what
    assert advice in found


def test_collector_that_is_not_there_is_told_from_a_name_that_is_not_known() -> None:
    port = free_port()
    [(what, advice)] = errors(examined(environment(f"http://127.0.0.1:{port}"))[1])
    assert "connection refused" in what
    assert f"nothing listens at 127.0.0.1:{port}" in advice
    [(_, advice)] = errors(examined(environment("http://collector.invalid:4318"))[1])
    assert "'collector.invalid' is not known here" in advice


def test_http_spoken_to_the_port_for_grpc_is_recognised() -> None:
    grpc = pytest.importorskip("grpc")
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        [(_, advice)] = errors(examined(environment(f"http://127.0.0.1:{port}"))[1])
    finally:
        server.stop(0).wait()
    assert f"127.0.0.1:{port} speaks gRPC, not HTTP: export OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in advice


def test_grpc_spoken_to_the_port_for_http_is_recognised(receiver: Receiver) -> None:
    pytest.importorskip("grpc")
    env = environment(receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    _, report = examined(env)
    found = errors(report)
    assert found
    assert all("speaks HTTP, not gRPC" in advice for _, advice in found), found


def test_tls_spoken_to_a_port_without_it_is_recognised(receiver: Receiver) -> None:
    [(_, advice)] = errors(examined(environment(receiver.url.replace("http", "https")))[1])
    assert "speaks no TLS: write http://" in advice


def answering(folder: Path, body: bytes = b"", *, tls: bool = False) -> tuple[ThreadingHTTPServer, str]:
    """A server that takes everything and answers with `body`; with a certificate that nobody signed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the standard library has it
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that refuses the certificate hangs up

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=otel-kpi"
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run([*words.split(), *files], cwd=folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server, f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"


def test_part_that_was_refused_is_told_with_the_receivers_words(tmp_path: Path) -> None:
    # ExportTraceServiceResponse{partial_success: {rejected_spans: 1, error_message: "no room"}}
    server, url = answering(tmp_path, b"\x0a\x0b\x08\x01\x12\x07no room")
    with server:
        status, report = examined(environment(url, OTEL_SERVICE_NAME="shop"))
        server.shutdown()
    assert status == 1
    assert {trip["answer"] for trip in report["trips"]} == {"partial"}
    [(what, _)] = errors(report)
    assert "refuses a part of the spans, metrics, log records: no room" in what


def test_certificate_that_is_not_trusted_is_recognised_and_so_is_tls_that_is_not_asked_for(
    tmp_path: Path,
) -> None:
    server, url = answering(tmp_path, tls=True)
    with server:
        [(what, advice)] = errors(examined(environment(url))[1])
        [(_, other)] = errors(examined(environment(url.replace("https", "http")))[1])
        trusted = environment(url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(tmp_path / "cert.pem"))
        status, _ = examined(trusted)
        server.shutdown()
    assert "TLS certificate refused" in what
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in advice
    assert "speaks TLS: write https://" in other
    assert status == 0


def test_everything_that_is_broken_is_in_one_report(tmp_path: Path) -> None:
    (tmp_path / "otel.yaml").write_text("tracer_provider: [")
    env = environment(
        OTEL_CONFIG_FILE=str(tmp_path / "otel.yaml"),
        OTEL_KPI_EXIT_BUDGET="soon",
        SENTRY_DSN="nonsense",
        OTEL_PYTHON_DISTRO="other",
    )
    status, report = examined(env)
    text = "\n".join(what for what, _ in errors(report))
    assert status == 1
    for words in (
        "otel.yaml' is not used",
        "OTEL_KPI_EXIT_BUDGET",
        "the DSN is malformed",
        "OTEL_PYTHON_DISTRO=other",
    ):
        assert words in text


def test_report_names_no_secret(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://user:s3cret@")
    env = environment(
        url,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=s3cret",
        SENTRY_DSN=f"http://s3cret@127.0.0.1:{receiver.port}/1",
    )
    ended = run([*DOCTOR, "--all"], env)
    assert "Round trip" in ended.stdout
    assert "s3cret" not in ended.stdout + ended.stderr


def test_sentry_is_asked_without_leaving_an_event(receiver: Receiver) -> None:
    dsn = f"http://key@127.0.0.1:{receiver.port}/7"
    status, report = examined(environment(receiver.url, SENTRY_DSN=dsn))
    assert status == 0
    assert report["trips"][-1]["answer"] == "accepted"
    assert "/api/7/envelope/" in receiver.requests
    receiver.status = 403
    _, report = examined(environment(receiver.url, SENTRY_DSN=dsn))
    assert any("the key in SENTRY_DSN" in advice for _, advice in errors(report))


# --- versions


def distribution(folder: Path, name: str, version: str, requires: str = "", entry_points: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    (info / "entry_points.txt").write_text(entry_points)


def test_versions_that_do_not_fit_each_other_are_named(tmp_path: Path) -> None:
    distribution(
        tmp_path, "opentelemetry-instrumentation-old", "0.50b0", "opentelemetry-instrumentation==0.50b0"
    )
    _, report = examined(environment(PYTHONPATH=str(tmp_path)), "--no-send")
    [(what, advice)] = errors(report)
    assert what.startswith(
        "opentelemetry-instrumentation-old 0.50b0 needs opentelemetry-instrumentation==0.50b0; "
    )
    assert "opentelemetry-instrumentation-old==" in advice


def test_second_distribution_is_named(tmp_path: Path) -> None:
    distribution(
        tmp_path, "vendor-distro", "1.0", entry_points="[opentelemetry_distro]\nvendor = vendor:Distro\n"
    )
    _, report = examined(environment(PYTHONPATH=str(tmp_path)), "--no-send")
    [found] = [each for each in report["findings"] if "vendor" in each["what"]]
    assert found["severity"] == "warning"
    assert "OTEL_PYTHON_DISTRO=otel_kpi" in found["advice"]


def test_instrumentor_beside_the_table_is_listed_with_who_loads_it(
    tmp_path: Path, receiver: Receiver
) -> None:
    (tmp_path / "beside.py").write_text(
        "from opentelemetry.instrumentation.instrumentor import BaseInstrumentor\n"
        "class Beside(BaseInstrumentor):\n"
        "    def instrumentation_dependencies(self): return ()\n"
        "    def _instrument(self, **kwargs): pass\n"
        "    def _uninstrument(self, **kwargs): pass\n"
    )
    distribution(
        tmp_path,
        "vendor-beside",
        "1.0",
        entry_points="[opentelemetry_instrumentor]\nbeside = beside:Beside\n",
    )
    env = environment(receiver.url, PYTHONPATH=str(tmp_path))
    [found] = [each for each in examined(env, "--no-send")[1]["libraries"] if each["name"] == "beside"]
    assert (found["state"], "not by configure()" in found["reason"]) == ("installed", True)
    text = "import otel_kpi; print([each.state for each in otel_kpi.doctor(send=False).libraries if each.name == 'beside'])"
    assert run([*RUN, sys.executable, "-c", text], env).stdout == "['loaded']\n"


# --- a process


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def test_running_process_is_asked_by_its_number(receiver: Receiver) -> None:
    text = "import requests, time\nprint('ready', flush=True)\ntime.sleep(60)"
    env = environment(receiver.url, OTEL_SERVICE_NAME="shop")
    with running([*RUN, sys.executable, "-c", text], env) as process:
        ready(process)
        # What is set here is nothing to that process.
        status, report = examined(environment("http://127.0.0.1:9"), "--pid", str(process.pid))
    assert (status, report["pid"], report["healthy"]) == (0, process.pid, True)
    assert ("app_name", "shop") in [(row["keyword"], row["value"]) for row in report["settings"]]
    assert ("requests", "loaded") in [(each["name"], each["state"]) for each in report["libraries"]]
    assert {count["signal"] for count in report["counts"]} == {"traces", "metrics", "logs"}
    assert len(receiver.spans) == 1


def test_forked_worker_answers_for_itself(receiver: Receiver) -> None:
    text = """
import os, time
child = os.fork()
if child:
    print("ready", flush=True)
    print(child, flush=True)
time.sleep(60)
"""
    with running([*RUN, sys.executable, "-c", text], environment(receiver.url)) as process:
        ready(process)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        _, report = examined(environment(), "--pid", str(child), "--no-send")
    assert report["pid"] == child


def test_process_without_telemetry_or_that_is_gone_is_said_so() -> None:
    ended = run([*DOCTOR, "--pid", str(2**22 - 3)], environment())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"otel-kpi doctor: there is no process {2**22 - 3}")
    with running(
        [sys.executable, "-c", "import time\nprint('ready', flush=True)\ntime.sleep(60)"], environment()
    ) as process:
        ready(process)
        ended = run([*DOCTOR, "--pid", str(process.pid)], environment())
    assert ended.returncode == 1
    assert "did not answer" in ended.stderr or "has no telemetry" in ended.stderr


def test_nobody_is_answered_in_a_folder_that_others_can_write_in(tmp_path: Path, receiver: Receiver) -> None:
    folder = tmp_path / f"otel-kpi-{os.getuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    text = "import time\nprint('ready', flush=True)\ntime.sleep(60)"
    env = environment(receiver.url, TMPDIR=str(tmp_path), OTEL_BSP_SCHEDULE_DELAY="50")
    with running([*RUN, sys.executable, "-c", text], env) as process:
        ready(process)
        question = folder / f"{process.pid}.ask"
        question.write_text(json.dumps({"nonce": "abc", "send": False, "timeout": 1}))
        with pytest.raises(AssertionError):
            receiver.wait_for(lambda _: not question.exists(), timeout=1.5)


def test_command_is_reported_on_when_it_has_ended(receiver: Receiver) -> None:
    text = "from opentelemetry import trace\nwith trace.get_tracer('t').start_as_current_span('s'): print('hello')"
    env = environment(receiver.url, OTEL_SERVICE_NAME="shop")
    ended = run([*DOCTOR, "--", sys.executable, "-c", text], env)
    assert ended.returncode == 0
    assert ended.stdout.startswith("hello\notel-kpi doctor: process ")
    assert "1 sent, 0 waiting, 0 lost" in ended.stdout
    ended = run([*DOCTOR, "--", "sh", "-c", "true"], environment())
    assert ended.returncode == 1
    assert "no process of it had telemetry" in ended.stderr


def test_inside_a_process_it_returns_the_report_and_prints_nothing(receiver: Receiver) -> None:
    text = """
import requests, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
import otel_kpi
before = otel_kpi.doctor(send=False)
otel_kpi.configure(app_name="shop")
report = otel_kpi.doctor()
sys.stderr.write("\\n".join(each.what for each in (*before.findings[:1], *report.findings)))
print(report.healthy, len(report.trips), len(str(report)) > 500)
"""
    ended = run([sys.executable, "-c", text], environment(receiver.url))
    assert ended.stdout == "False 3 True\n"
    assert "telemetry is not configured in this process" in ended.stderr
    assert "spans go to a opentelemetry.sdk.trace.TracerProvider that was set before otel-kpi" in ended.stderr
    assert "imported before telemetry was configured: requests" in ended.stderr


@pytest.mark.parametrize("garbage", ["nested", "pipe", "link", "folder", "bytes"])
def test_garbage_where_questions_are_asked_holds_up_nothing(
    tmp_path: Path, receiver: Receiver, garbage: str
) -> None:
    text = f"""
import os, pathlib, time
from opentelemetry import trace
from otel_kpi.instance import private_folder
path = pathlib.Path(private_folder(), f"{{os.getpid()}}.ask")
kind = {garbage!r}
if kind == "nested": path.write_text("[" * 100_000)
elif kind == "pipe": os.mkfifo(path)
elif kind == "link": path.symlink_to("/dev/zero")
elif kind == "folder": path.mkdir()
else: path.write_bytes(bytes(range(256)))
time.sleep(1.2)  # the export thread looks once a second
trace.get_tracer("x").start_span("after").end()
"""
    ended = run([*RUN, sys.executable, "-c", text], environment(receiver.url, TMPDIR=str(tmp_path)))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert receiver.named("after")


def test_a_library_whose_extra_is_not_installed_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_EXTRAS", {"llm": "no_such_module"})
    code, report = examined({"OTEL_SERVICE_NAME": "shop", "PATH": os.environ["PATH"]})
    assert code == 1  # nobody takes telemetry either
    [library] = [each for each in report["libraries"] if each["name"] == "openai"]
    assert (library["state"], library["reason"]) == ("missing", "it takes: pip install 'otel-kpi[llm]'")
    remedy = "type: pip install 'otel-kpi[llm]'"
    told = {each["what"].split()[0] for each in report["findings"] if each["advice"] == remedy}
    assert "openai" in told
    # Who has botocore need not have heard of Bedrock.
    assert "boto3" not in told
