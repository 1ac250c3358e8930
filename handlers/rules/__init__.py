"""Orchestration: what may follow what in a run's life, as tables of plain functions. `python -m handlers.rules` prints them."""
