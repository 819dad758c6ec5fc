"""Running cells: what they need, the one launcher, their names."""
