"""Built-in channels. Each module is a plugin of its own, imported when a channel uses it."""
