"""Chat messages and ShareGPT conversations, read down to one question and one answer."""

from collections.abc import Iterator

Exchange = tuple[object, object, tuple[str, ...]]
"""A message, its answer, and what was left out around them."""

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}


def last_exchange(messages: object, *, role: str, content: str) -> Exchange:
    """Return the last question of a conversation and its answer.

    Args:
        messages: What should be a list of message objects.
        role: Key of who speaks.
        content: Key of what they say.

    Raises:
        ValueError: It is no list of messages, roles do not alternate, or no answer ends it.
    """
    if not isinstance(messages, list) or not messages:
        raise ValueError("the conversation is not a list of messages")
    turns = list(_turns(messages, role=role, content=content))
    left_out = []
    if turns[0][0] == "system":
        turns, left_out = turns[1:], ["system messages: the recipe's instruction replaces them"]
    for number, (who, _) in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if who != expected:
            raise ValueError(
                f"turn {number + 1} is from {who}, but roles alternate: {expected} comes here"
            )
    if len(turns) < 2 or len(turns) % 2:
        raise ValueError("the conversation does not end with an answer of the assistant")
    if len(turns) > 2:
        left_out.append("earlier turns: a case is the last question and its answer")
    return turns[-2][1], turns[-1][1], tuple(left_out)


def _turns(messages: list[object], *, role: str, content: str) -> Iterator[tuple[str, str]]:
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            raise ValueError(f"message {number} is not an object")
        who = _ROLES.get(str(message.get(role)))
        if who is None:
            raise ValueError(
                f"message {number} has {role} = {message.get(role)!r}; "
                "known are system, user and assistant"
            )
        text = message.get(content)
        if not isinstance(text, str):
            raise ValueError(f"message {number} has no text in {content!r}")
        yield who, text
