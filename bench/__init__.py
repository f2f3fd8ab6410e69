"""Measuring: every figure in the README comes from here."""
