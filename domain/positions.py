"""Positions in the event log, and versions of streams."""

GREATEST = 2**63 - 1
"""The last one that there can be: what PostgreSQL keeps as bigint."""
