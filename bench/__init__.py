"""Measuring: how fast (`speed`), how steady (`stability`), how close to the artwork (`quality`).

Each is a command, ``python -m allaprima.bench.speed``, that prints a table and writes JSON.
"""
