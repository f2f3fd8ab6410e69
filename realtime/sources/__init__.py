"""Where frames come from: one URI names any source."""
