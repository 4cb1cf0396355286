"""One pass over a scan: patterns, windows, exit waves, and the sweep through them."""
