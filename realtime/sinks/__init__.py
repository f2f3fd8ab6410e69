"""Where frames go: one URI names any sink."""
