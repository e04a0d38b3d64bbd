"""ETL pipelines: runs, stages and batches as one trace, their volume and quality as metrics.

Public: `pipeline`, `run`, `stage`, `batches`, the module-level `read`, `written`, `rejected`, `errors`,
`quality_score`, `freshness` for the stage or run that is current, `carrier` and `environment` for other processes.
"""

from __future__ import annotations

from otel_kpi.packs.etl.instruments import PACK

__all__ = ["PACK"]
