"""What a process says of itself and of its interpreter.

The names of the conventions where there are any; `kpi.runtime.*` is ours: there is no convention for Python's event
loops, nor for how long its garbage collector stops a process.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Gauge, Histogram, Pack, UpDownCounter

SCOPE: Final = "otel_kpi.process"
"""Instrumentation scope of its series: nothing in it makes a process speak that has nothing else to tell."""

_PROCESS: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/system/process-metrics/"
_CPYTHON: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/runtime/cpython-metrics/"
_PROMETHEUS_CLIENT: Final = "the name that clients of Prometheus give it, which rules and runbooks use"

# --- attributes

CPU_MODE: Final = Attribute(
    name="cpu.mode",
    brief="Whether the time was the program's or the kernel's for it.",
    members=("user", "system"),
    source=_PROCESS,
)
CONTEXT_SWITCH_TYPE: Final = Attribute(
    name="process.context_switch.type",
    brief="Whether the process gave way, to wait for something, or was made to.",
    members=("voluntary", "involuntary"),
    source=_PROCESS,
)
DISK_DIRECTION: Final = Attribute(
    name="disk.io.direction", brief="From disks or to disks.", members=("read", "write"), source=_PROCESS
)
GENERATION: Final = Attribute(
    name="cpython.gc.generation",
    brief="Of the garbage collector: 0 is the youngest.",
    budget=3,
    type="int",
    examples=("0", "1", "2"),
    source=_CPYTHON,
)

# --- the process

CPU_TIME: Final = Counter(
    name="process.cpu.time",
    unit="s",
    brief="CPU seconds by mode.",
    attributes=(CPU_MODE,),
    source=_PROCESS,
    systems=("S2",),
    observable=True,
)
MEMORY_USAGE: Final = UpDownCounter(
    name="process.memory.usage",
    unit="By",
    brief="Physical memory in use.",
    source=_PROCESS,
    systems=("S2",),
    observable=True,
)
MEMORY_VIRTUAL: Final = UpDownCounter(
    name="process.memory.virtual", unit="By", brief="Virtual memory.", source=_PROCESS, observable=True
)
THREAD_COUNT: Final = UpDownCounter(
    name="process.thread.count", unit="{thread}", brief="Threads.", source=_PROCESS, observable=True
)
FILE_DESCRIPTORS: Final = UpDownCounter(
    name="process.unix.file_descriptor.count",
    unit="{file_descriptor}",
    brief="Open file descriptors.",
    source=_PROCESS,
    observable=True,
)
CONTEXT_SWITCHES: Final = Counter(
    name="process.context_switches",
    unit="{context_switch}",
    brief="Context switches by type.",
    attributes=(CONTEXT_SWITCH_TYPE,),
    source=_PROCESS,
    observable=True,
)
DISK_IO: Final = Counter(
    name="process.disk.io",
    unit="By",
    brief="Bytes read from and written to disks.",
    attributes=(DISK_DIRECTION,),
    source=_PROCESS,
    observable=True,
)
UPTIME: Final = Gauge(
    name="process.uptime",
    unit="s",
    brief="Since the process was started or forked.",
    source=_PROCESS,
    observable=True,
    minimum=0.0,
)

# --- the garbage collector

GC_COLLECTIONS: Final = Counter(
    name="cpython.gc.collections",
    unit="{collection}",
    brief="Collections by generation.",
    attributes=(GENERATION,),
    source=_CPYTHON,
    systems=("S2",),
    observable=True,
)
GC_COLLECTED_OBJECTS: Final = Counter(
    name="cpython.gc.collected_objects",
    unit="{object}",
    brief="Objects collected by generation.",
    attributes=(GENERATION,),
    source=_CPYTHON,
    systems=("S2",),
    observable=True,
)
GC_UNCOLLECTABLE_OBJECTS: Final = Counter(
    name="cpython.gc.uncollectable_objects",
    unit="{object}",
    brief="Objects found to be uncollectable, by generation.",
    attributes=(GENERATION,),
    source=_CPYTHON,
    systems=("S2",),
    observable=True,
)
GC_TIME: Final = Counter(
    name="kpi.runtime.gc.time",
    unit="s",
    brief="Time in the garbage collector, by generation.",
    attributes=(GENERATION,),
    source="B13",
    systems=("S2",),
    observable=True,
)
SHORTEST_PAUSE: Final = 0.001
"""Seconds; shorter pauses are in `kpi.runtime.gc.time` alone: there are thousands in a second."""
GC_PAUSE: Final = Histogram(
    name="kpi.runtime.gc.pause",
    unit="s",
    brief="Pauses of 1 ms and longer that the garbage collector made, by generation.",
    attributes=(GENERATION,),
    source="B13",
    systems=("S2",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0),
)

# --- event loops

EVENT_LOOP_LAG: Final = Histogram(
    name="kpi.runtime.event_loop.lag",
    unit="s",
    brief="How late a callback ran that asyncio or uvloop had to run, twice a second.",
    source="B13",
    systems=("S2",),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
EVENT_LOOP_LONGEST_LAG: Final = Gauge(
    name="kpi.runtime.event_loop.longest_lag",
    unit="s",
    brief="The longest lag of the last half minute; of a loop that is blocked now, for how long so far.",
    source="B13",
    systems=("S2",),
    observable=True,
    minimum=0.0,
)

# --- names that documents fix

RESIDENT_MEMORY: Final = UpDownCounter(
    name="process.resident_memory",
    unit="By",
    brief="Physical memory in use.",
    prometheus="process_resident_memory_bytes",
    source="A8; S2's alert HighMemoryUsage",
    systems=("S2",),
    exempt=_PROMETHEUS_CLIENT,
    observable=True,
    compatibility=True,
)
CPU: Final = Counter(
    name="process.cpu",
    unit="s",
    brief="CPU seconds, of the program and of the kernel for it.",
    prometheus="process_cpu_seconds_total",
    source="B13; S2's default metrics",
    systems=("S2",),
    exempt=_PROMETHEUS_CLIENT,
    observable=True,
    compatibility=True,
)

PACK: Final = Pack(
    name="runtime",
    title="The process and its interpreter",
    brief="What a process needs of its machine, how long its event loops keep callbacks waiting, and what the garbage"
    " collector takes. Recorded without any call.",
    instruments=(
        CPU_TIME,
        MEMORY_USAGE,
        MEMORY_VIRTUAL,
        THREAD_COUNT,
        FILE_DESCRIPTORS,
        CONTEXT_SWITCHES,
        DISK_IO,
        UPTIME,
        GC_COLLECTIONS,
        GC_COLLECTED_OBJECTS,
        GC_UNCOLLECTABLE_OBJECTS,
        GC_TIME,
        GC_PAUSE,
        EVENT_LOOP_LAG,
        EVENT_LOOP_LONGEST_LAG,
        RESIDENT_MEMORY,
        CPU,
    ),
)
