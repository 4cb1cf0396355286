"""Spoilt files through the public readers: a short part in the default tests, hours by `make fuzz`."""
