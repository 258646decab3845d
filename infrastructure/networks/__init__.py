"""Adapters to social networks."""
