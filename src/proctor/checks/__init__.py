"""Built-in checks: what measures a revision. Each is reached through its entry point."""
