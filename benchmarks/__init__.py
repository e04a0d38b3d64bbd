"""Figures, measured in turns with what else there is; `python -m benchmarks` runs them all."""
