"""Differential test harness for ``llama-server`` command lines against real llama.cpp builds."""

__version__ = "0.1.0"
