"""Shipped bundles (data)."""
