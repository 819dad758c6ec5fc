"""The matrix: axes to cells, cells to results, through pytest."""
