"""The command. Each file holds the commands of one concern; `main` is their table of contents."""
