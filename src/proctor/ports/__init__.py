"""The Protocols that the walk needs from the world, stated by the walk.

Ports bring values of `core` and raise only the errors of `core.errors`.
"""
