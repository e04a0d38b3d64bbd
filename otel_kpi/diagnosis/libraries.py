"""Which library is instrumented by what, and which is not, and why."""

from __future__ import annotations

import sys
from typing import Any

from otel_kpi.diagnosis.report import Finding, Library


def known_libraries(disabled: frozenset[str], findings: list[Finding]) -> tuple[Library, ...]:
    """The libraries of this environment that our table knows, and those that nobody instruments."""
    from importlib import metadata

    from otel_kpi.instrumentation.catalogue import within
    from otel_kpi.instrumentation.loader import has_extra
    from otel_kpi.instrumentation.table import TABLE

    libraries: list[Library] = []
    for row in TABLE:
        version = ""
        if row.distribution:
            try:
                version = metadata.version(row.distribution)
            except metadata.PackageNotFoundError:
                continue
        if "*" in disabled or row.name in disabled:
            libraries.append(Library(row.name, version, "skipped", "disabled by setting"))
        elif row.when == "never":
            libraries.append(Library(row.name, version, "skipped", row.reason))
        elif version and row.specifier is not None and not within(version, row.specifier):
            reason = f"our tests cover {row.specifier}"
            libraries.append(Library(row.name, version, "skipped", reason))
            findings.append(
                Finding(
                    "warning",
                    f"{row.distribution} {version} is not instrumented: {reason}",
                    "upgrade otel-kpi",
                )
            )
        elif row.extra and not has_extra(row.extra):
            what = f"pip install 'otel-kpi[{row.extra}]'"
            libraries.append(Library(row.name, version, "missing", f"it takes: {what}"))
            if not row.quiet:
                findings.append(
                    Finding("warning", f"{row.distribution} {version} is not instrumented", f"type: {what}")
                )
        else:
            libraries.append(Library(row.name, version, "ready", ""))
    return (*libraries, *_others(), *_uninstrumented(findings))


def _uninstrumented(findings: list[Finding]) -> list[Library]:
    from otel_kpi.bootstrap import missing
    from otel_kpi.instrumentation.catalogue import LEFT_OUT

    libraries: list[Library] = []
    for each in missing(everything=True):
        if each.library in LEFT_OUT:
            why = f"left out on purpose ({LEFT_OUT[each.library]}); otel-kpi bootstrap --all offers it"
            libraries.append(Library(each.library, each.version, "skipped", why))
            continue
        reason = (
            "its instrumentor is not installed" if each.requirement else f"upstream's is for {each.specifier}"
        )
        libraries.append(Library(each.library, each.version, "missing", reason))
        if each.requirement:
            what = f"{each.library} {each.version} is not instrumented: {each.requirement} is not installed"
            findings.append(Finding("warning", what, "type: otel-kpi bootstrap --install"))
    return libraries


def loaded_libraries(findings: list[Finding]) -> tuple[Library, ...]:
    """What became of each row in this process."""
    from otel_kpi import instrumentation

    libraries: list[Library] = []
    for each in instrumentation.report():
        libraries.append(Library(each.name, each.version, each.state, each.reason))
        if each.state in {"failed", "off"}:
            findings.append(
                Finding("error", f"{each.name} {each.version} is not instrumented: {each.reason}")
            )
        elif each.state == "skipped" and each.version:
            findings.append(
                Finding("warning", f"{each.name} {each.version} is not instrumented: {each.reason}")
            )
    loaded = [each for each in _uninstrumented([]) if each.name.replace("-", "_").lower() in sys.modules]
    return (*libraries, *_others(), *loaded)


def imported_early(imported_before: frozenset[str]) -> list[Finding]:
    """Libraries that were there before telemetry: what the application had made of them may be missed."""
    from otel_kpi.instrumentation.table import TABLE

    early = sorted({row.name for row in TABLE if row.distribution and row.target in imported_before})
    if not early:
        return []
    return [
        Finding(
            "warning",
            f"imported before telemetry was configured: {', '.join(early)}; what was made of them before may be missed",
            "call otel_kpi.configure() before these imports, or start with `otel-kpi run`",
        )
    ]


def _others() -> list[Library]:
    """Instrumentors that are installed beside our table; upstream's loader loads them, and `configure()` does not."""
    from importlib.metadata import entry_points

    from otel_kpi import instrumentation

    owned = instrumentation.owned_names()
    libraries: list[Library] = []
    for entry_point in entry_points(group="opentelemetry_instrumentor"):
        if entry_point.name in owned:
            continue
        kind: Any = getattr(sys.modules.get(entry_point.module), entry_point.attr, None)
        # Instrumentors are singletons; to make one only to ask it would import its library.
        instance: Any = getattr(kind, "_instance", None)
        loaded = bool(getattr(instance, "is_instrumented_by_opentelemetry", False))
        reason = "" if loaded else "not in our table; loaded at start by otel-kpi run, not by configure()"
        libraries.append(Library(entry_point.name, "", "loaded" if loaded else "installed", reason))
    return libraries
