"""What a server can be set to: one module for each setting."""
