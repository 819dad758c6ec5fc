"""Where builds come from: one module per kind of source, all behind one protocol."""
