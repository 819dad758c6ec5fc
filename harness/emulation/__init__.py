"""A small server that stands in for builds nobody publishes; see ``docs/verdicts.md``.

Everything but ``description`` uses the standard library alone, so that an emulated build starts
as fast as a real one: it is run by an interpreter without site packages.
"""
