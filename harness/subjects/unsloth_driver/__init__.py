"""Runs inside Studio's interpreter: standard library only, nothing of the harness.

Started by ``harness.subjects.unsloth`` with the cell's variables as its whole environment. Reads
one JSON request per line on standard input and answers each with one JSON line on standard output;
the operations are ``plan``, ``load``, ``unload``, ``status`` and ``guard``.
"""
