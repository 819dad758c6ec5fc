"""What must hold, what was seen, and what that comes to."""
