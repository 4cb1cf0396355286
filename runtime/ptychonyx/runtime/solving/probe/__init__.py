"""The probe of a scan: what is free in it, a guess from nothing, and its modes."""
