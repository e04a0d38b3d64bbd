"""What one run of the processor causes."""

from kpi_system import archive, feeds, processor
from kpi_system.traffic.plan import Plan


def run(made: Plan, model: str, trigger: str, *, broken: bool) -> None:
    """Add one run.

    Args:
        made: To what.
        model: The KPI model.
        trigger: What asked for it.
        broken: Whether its feed cannot be transformed.
    """
    result = "error" if broken else "success"
    name = {"model_name": model}
    made.count("kpi_etl_pipeline_runs_total", **name, kpi_etl_run_trigger=trigger, kpi_etl_result=result)
    ended = {"kpi_etl_result": result} | ({"error_type": "ValueError"} if broken else {})
    made.count("kpi_etl_pipeline_run_duration_seconds_count", **name, **ended)
    for stage in ("extract", "validate", "transform", "store")[: 3 if broken else 4]:
        how = "error" if broken and stage == "transform" else "success"
        made.count(
            "kpi_etl_stage_duration_seconds_count", **name, kpi_etl_stage_type=stage, kpi_etl_result=how
        )
    _batches(made, model)
    _volume(made, model, broken=broken)
    for level in ("kpi_etl_pipeline_run_active", "kpi_etl_processors_active"):
        made.put(level, 0, **name)
    made.allow("kpi_etl_pipeline_run_elapsed_seconds", **name)  # a report that is made during the run has it
    for last in ("kpi_etl_pipeline_last_run_time_seconds", "kpi_etl_pipeline_last_run_duration_seconds"):
        made.see(last, **name)
    if not broken:
        made.see("kpi_etl_pipeline_last_success_time_seconds", **name)
        for age in ("kpi_etl_freshness_lag_seconds", "kpi_etl_freshness_time_seconds"):
            made.see(age, **name, kpi_etl_dataset_name="sqlite://facts.db/facts")
        if model == "sales":
            made.count("kpi_etl_retries_total", **name, error_type="database_locked")


def _volume(made: Plan, model: str, *, broken: bool) -> None:
    name = {"model_name": model}
    read, faults = len(feeds.records(model)), feeds.faults(model)
    invalid = faults.total()
    valid = read - invalid
    counts = {
        ("extract", "read"): read,
        ("validate", "read"): read,
        ("validate", "valid"): valid,
        ("validate", "invalid"): invalid,
    }
    made.count("kpi_etl_io_bytes_total", len(feeds.text(model)), **name, kpi_etl_io_direction="read")
    if not broken:
        counts["store", "written"] = valid
        made.count("kpi_etl_io_bytes_total", valid * processor.BYTES, **name, kpi_etl_io_direction="write")
        made.count("kpi_etl_data_points_processed_total", valid * feeds.COLUMNS, **name)
        made.put("kpi_etl_quality_score", 100 * valid / read, **name)
    for (stage, status), number in counts.items():
        said = {**name, "kpi_etl_record_status": status}
        made.count("kpi_etl_records_processed_total", number, **said, kpi_etl_stage_type=stage)
        made.put("kpi_etl_pipeline_last_run_records", number, **said)
    for reason, number in faults.items():
        made.count("kpi_etl_validation_errors_total", number, **name, error_type=reason)


def _batches(made: Plan, model: str) -> None:
    records = feeds.records(model)
    validate = {"model_name": model, "kpi_etl_stage_type": "validate"}
    for first in range(0, len(records), processor.BATCH):
        batch = records[first : first + processor.BATCH]
        bad = processor.is_bad([each for each in batch if not feeds.fault(each)], batch)
        made.count(
            "kpi_etl_batches_processed_total", **validate, kpi_etl_result="failure" if bad else "success"
        )
        made.count("kpi_etl_batch_size_count", **validate)


def lasting(made: Plan) -> None:
    """Add the run of the archive while it lasts."""
    made.put("kpi_etl_pipeline_run_active", 1, model_name=archive.MODEL)
    made.see("kpi_etl_pipeline_run_elapsed_seconds", model_name=archive.MODEL)


def ended(made: Plan) -> None:
    """Add that it has ended."""
    name = {"model_name": archive.MODEL}
    made.put("kpi_etl_pipeline_run_active", 0, **name)
    made.present = {each for each in made.present if not each.startswith("kpi_etl_pipeline_run_elapsed")}
    made.count("kpi_etl_pipeline_runs_total", **name, kpi_etl_run_trigger="manual", kpi_etl_result="success")
    made.count("kpi_etl_pipeline_run_duration_seconds_count", **name, kpi_etl_result="success")
    for last in ("last_run_time", "last_run_duration", "last_success_time"):
        made.see(f"kpi_etl_pipeline_{last}_seconds", **name)
