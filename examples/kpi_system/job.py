"""The job that runs once: reads the CRM's feed, half of which is invalid, reports a quality of 50, and exits.

`python -m kpi_system.job`. When the process is gone its score is still the last word on that model: the alert on low
quality has to fire although nobody reports any more. Run, stages, batches and rejected counts are one trace.
"""

import argparse
from pathlib import Path

from kpi_system import feeds
from kpi_system.processor import Processor


def main() -> None:
    """Run once."""
    parser = argparse.ArgumentParser(prog="kpi_system.job", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("kpi-data"), help="folder of the database")
    given = parser.parse_args()
    given.data.mkdir(parents=True, exist_ok=True)
    score = Processor(given.data / "facts.db").refresh(feeds.JOB, trigger="schedule")
    print(f"{feeds.JOB}: quality {score:.0f}")


if __name__ == "__main__":
    main()
