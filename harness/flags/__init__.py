"""What a build accepts, and how an argument list reads there."""
