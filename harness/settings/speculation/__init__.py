"""Speculation: which implementations draft, and how many tokens at a time."""
