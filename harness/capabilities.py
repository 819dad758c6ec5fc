"""``--help`` text to ``Capabilities``: what a build says it accepts."""
