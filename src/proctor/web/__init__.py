"""The HTTP face: the receiver of webhooks, and what tells machines how we are."""
