"""The smallest programs: each does one thing and can be copied."""
