"""The exported graph: put together, and made smaller."""
