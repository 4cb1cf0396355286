"""Simulate scans whose object and probe are known."""
