"""What holds for every test."""

from __future__ import annotations

import os

# Upstream reads this once in a process, whichever test comes first; the distribution sets it before that.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
