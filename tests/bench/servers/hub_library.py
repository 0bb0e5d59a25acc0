"""huggingface_hub's own WebhooksServer: `python hub_library.py PORT`. It stores nothing.

Needs gradio, which `make bench` installs, and nothing else of ours does.
"""

import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before it is imported: it would call home

from huggingface_hub import WebhookPayload, WebhooksServer

server = WebhooksServer(webhook_secret="bench-secret-1234")


@server.add_webhook("/hub")  # it puts /webhooks before
async def receive(payload: WebhookPayload) -> dict[str, str]:
    """Nothing."""
    return {"status": "ok"}


if __name__ == "__main__":
    server.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), share=False, quiet=True)
