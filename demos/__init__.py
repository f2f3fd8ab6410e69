"""The smallest useful programs."""
