"""Starting, owning and ending processes."""
