"""One module for each command: arguments in, text and exit status out."""
