"""The embedded default: `otel-kpi dev -- <command>` receives, keeps and shows what a system on this machine does.

A request's way: `receiver/` takes it from the socket, `wire/` decodes it into what `telemetry.py` names, `intake.py` has
it committed by one writer into `store/` (SQLite), and then it is acknowledged. A page's way: `viewer/` draws what
`store/` finds, `api/` gives the same to Jaeger's and Prometheus's clients, `terminal/` prints it as it comes.

It runs in a process of its own, never in the application's: nothing that starts with an application imports it.
"""
