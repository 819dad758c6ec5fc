"""Modules that also run in the interpreters of applications: the standard library alone."""
