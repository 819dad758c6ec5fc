"""What changes for a command line between two builds, and what to write for the new one."""
