"""Formats: reading command lines out of the files that people keep them in, and writing them back.

Nothing of what is read is ever run.
"""

from harness.formats.command_line import CommandLine, CommandLines, Fault
from harness.formats.files import (
    read_file,
    read_text,
    server_arguments,
    write,
    write_all,
    write_file,
)
from harness.formats.registry import FORMATS

__all__ = [
    "FORMATS",
    "CommandLine",
    "CommandLines",
    "Fault",
    "read_file",
    "read_text",
    "server_arguments",
    "write",
    "write_all",
    "write_file",
]
