"""Offline work: networks, training, export.  Needs torch; nothing at run time imports this."""
