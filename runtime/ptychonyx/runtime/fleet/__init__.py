"""Many scans on many workers."""
