"""Contract tests: what every implementation of a port has to keep.

Subclass a contract in your tests and override its fixture. These modules need pytest.
"""
