"""Benchmarks: Prefect's own server and Downbeat side by side on one machine. `python -m tests.bench --help`."""
