"""Entry point `opentelemetry_distro = otel_kpi`: what `opentelemetry-instrument` asks first.

Upstream's loader takes the first distro that it finds, or the one that `OTEL_PYTHON_DISTRO` names; then the
first configurator, or the one that `OTEL_PYTHON_CONFIGURATOR` names; then hands each instrumentor's entry
point to the distro. Chosen as distro we choose our configurator too. Instrumentors that our table knows are hidden
from the loader, which would import their libraries at once and pass over those whose version upstream caps; ours
are loaded when the library is imported.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.distro import BaseDistro

from otel_kpi import instrumentation
from otel_kpi.process import arm_instrumentation, is_enabled, leaves_to_us

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_logger = logging.getLogger("otel_kpi")


class Distro(BaseDistro):
    """What upstream's loader instantiates and calls."""

    def _configure(self, **_: Any) -> None:
        # Read by the loader after this call, and by child processes.
        os.environ["OTEL_PYTHON_DISTRO"] = "otel_kpi"
        os.environ["OTEL_PYTHON_CONFIGURATOR"] = "otel_kpi"
        # The loader has a line about each configurator that was not chosen; this was no accident.
        loader = logging.getLogger("opentelemetry.instrumentation.auto_instrumentation._load")
        loader.addFilter(lambda record: not str(record.msg).startswith("Configuration of %s not loaded"))

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Load an instrumentor that our table does not know; one that fails takes no other with it."""
        if leaves_to_us(entry_point.name) or entry_point.name in instrumentation.owned_names():
            return
        try:
            instrumentation.guard(entry_point.module, entry_point.name)
            super().load_instrumentor(entry_point, **kwargs)
        except ModuleNotFoundError as error:
            # The library is not there: the loader passes over it without a word. Or a part of the instrumentor is not.
            if (error.name or "").partition(".")[0] not in {
                "",
                "opentelemetry",
                entry_point.module.partition(".")[0],
            }:
                raise
            _logger.warning(
                "the instrumentor %r is installed in part and left out: %s", entry_point.name, error
            )
        except (
            Exception,
            SystemExit,
        ) as error:  # one that ends the process when it is imported is broken too
            _logger.warning("the instrumentor %r failed and is left out: %r", entry_point.name, error)


_HIDING = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_hidden_behind: list[str | None] = []
_loaded = False  # what our table does not know, by upstream's loader or by `load_installed`


def load_installed() -> None:
    """Load what our table does not know, as upstream's loader does; for a program that configures itself. Once."""
    global _loaded
    if _loaded or not is_enabled():
        return
    _loaded = True
    from importlib.metadata import entry_points

    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    distro = Distro()
    for entry_point in entry_points(group="opentelemetry_instrumentor"):
        if entry_point.name in instrumentation.owned_names() or leaves_to_us(entry_point.name):
            continue
        try:
            if entry_point.dist is None or get_dist_dependency_conflicts(entry_point.dist) is None:
                distro.load_instrumentor(entry_point, skip_dep_check=True)
        except ModuleNotFoundError:
            continue  # its library is not there
        except Exception as error:
            _logger.warning("the instrumentor %r failed and is left out: %r", entry_point.name, error)


def hide_from_loader() -> None:
    """Have the loader pass over what our table knows, without a word about versions."""
    global _loaded
    _loaded = True
    before = os.environ.get(_HIDING)
    _hidden_behind.append(before)
    os.environ[_HIDING] = ",".join([*([before] if before else []), *sorted(instrumentation.owned_names())])


def show_to_loader() -> None:
    """Give the variable back as the user set it."""
    before = _hidden_behind.pop()
    if before is None:
        os.environ.pop(_HIDING, None)
    else:
        os.environ[_HIDING] = before


def after_instrument() -> None:
    """Entry point `opentelemetry_post_instrument`: the loader is done.

    Called by upstream's loader whatever it chose, so it looks first whether our configurator has run. That may be so
    beside another distro: without `OTEL_PYTHON_CONFIGURATOR` the loader takes the first configurator that it finds.
    """
    if not _hidden_behind:
        return
    show_to_loader()
    arm_instrumentation()
    chain_sitecustomize()


def chain_sitecustomize() -> None:
    """Run the user's own `sitecustomize`, which the launcher's stands in front of."""
    launcher = sys.modules.get("sitecustomize")
    here = os.path.dirname(os.path.abspath(getattr(launcher, "__file__", None) or ""))  # noqa: PTH100, PTH120 - start-up: pathlib costs
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]  # noqa: PTH100 - the same
    if len(path) == len(sys.path):
        return  # configured in code: the user's has run already
    try:
        spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
        if spec is None or spec.loader is None:
            return
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)
    except Exception:
        # Python itself prints the error of a broken sitecustomize and goes on.
        _logger.exception("your sitecustomize failed")
