"""From what a file says of a scan, in its own words and units, to a `Scan`."""
