"""Measuring: how fast (`cli`), how steady (`stability`), how close to the artwork (`quality`).

The first is ``allaprima bench``; each of the others is a command, ``python -m allaprima.bench.stability``, that prints
a table and writes JSON.
"""
