# ruff: noqa: INP001 - a folder for the path of others, not a package
"""What each Python below `otel-kpi dev` runs first, in its own environment; this folder has nothing else.

It starts telemetry as `otel-kpi run` does, where otel_kpi is installed, and is silent where it is not: the command may
be a runner in an environment of its own, which starts the application's. Any Python may meet this file, so it is
written for older ones than ours, too.
"""

import os
import sys


def _found(name: str) -> bool:
    try:
        from importlib.util import find_spec

        return find_spec(name) is not None
    except ImportError:  # of a package that it is in
        return False


def _without(folder: str) -> None:
    others = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != folder]
    os.environ["PYTHONPATH"] = os.pathsep.join(others)


def _run_the_other() -> None:
    """The `sitecustomize` that would have been found without this one."""
    ours = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # noqa: F401 # pyright: ignore[reportUnusedImport, reportMissingImports] - it runs, where there is one
    except ImportError as error:
        sys.modules["sitecustomize"] = ours
        if getattr(error, "name", None) not in {"sitecustomize", None}:
            raise


def _start_telemetry() -> None:
    os.environ["OTEL_PYTHON_DISTRO"] = "otel_kpi"
    from opentelemetry.instrumentation.auto_instrumentation import initialize

    from otel_kpi.plugins import drop_missing

    # A propagator that is not installed would end the start of telemetry before anything of ours runs.
    for problem in drop_missing(os.environ):
        sys.stderr.write(str(problem) + "\n")
    initialize()


_here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - of the environment's own texts
_path = os.environ.get("PYTHONPATH")
sys.path[:] = [entry for entry in sys.path if entry != _here]
_without(_here)  # what is started meanwhile would start telemetry, and so on
try:
    _run_the_other()
    if _found("otel_kpi.plugins") and _found("opentelemetry.instrumentation.auto_instrumentation"):
        _start_telemetry()
finally:
    if _path is not None:
        os.environ["PYTHONPATH"] = _path
