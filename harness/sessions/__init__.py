"""Sessions: a server that lives through a sequence of load requests, and guards that decide."""
