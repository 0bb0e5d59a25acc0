"""The way a request's body comes in."""

from starlette.types import Message, Receive


class Inlet:
    """``receive`` that remembers whether the whole body has come in."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._finished = receive, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._finished = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self, most: int = 2**30) -> None:
        """Read and drop what is left of the body, up to ``most`` bytes."""
        while not self._finished and most > 0:
            most -= len((await self()).get("body", b""))
