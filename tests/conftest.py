"""What holds for every test."""

from __future__ import annotations

import os
import signal

# Upstream reads this once in a process, whichever test comes first; the distribution sets it before that.
os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")

# A shell starts its background jobs with SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
