"""The walk, one step a file. Steps are strangers to each other: they meet in the ledger."""
