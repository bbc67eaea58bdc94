"""What an agent sends, checked before anything else sees it (docs/reference/agent-protocol.md).

The agent is on a device, and so is the app, whose process answers some requests itself: neither is trusted to keep to
the protocol. Fields that are not listed here are not used by the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from incamera.errors import AgentError
from incamera.guard.values import parse_value
from incamera_agent.wire.protocol import Answer, ErrorKind, Event, Request

if TYPE_CHECKING:
    from incamera_agent.wire.frames import Frame, Message

# The fields of each message, with types as in `guard.answers.parse_value`, and `words` for a text of any characters.
# A field that may be null may be missing.
_MESSAGES: Mapping[str, Mapping[str, str]] = {
    Answer.HELLO: {"protocol": "number?", "agent": "text?", "live": "text?"},
    Answer.ERROR: {
        "kind": "text?",
        "message": "words?",
        "hint": "words?",
        "owner": "owner?",
        "protocol": "number?",
        "agent": "text?",
    },
    Answer.PRELOADED: {"imports": "{seconds}?", "failed": "{words}?", "rss": "number?"},
    Answer.OPENED: {"folder": "text", "files": "{sha256?}"},
    Answer.COMMITTED: {},
    Answer.REFUSED: {"path": "text", "message": "words?", "line": "number?", "column": "number?", "text": "words?"},
    Answer.STARTED: {"run": "text?", "warm": "flag?", "cold_reason": "text?"},
    Answer.RESTARTED: {"run": "text", "warm": "flag?", "cold_reason": "text?"},
    Answer.RELOADED: {"run": "text?", "kept": "[text]?"},
    Answer.MEMORY: {"fork_server": "number?", "run": "number?", "free": "number?"},
    Answer.ATTACHED: {"session": "number", "folder": "text?", "files": "text?"},
    Answer.EVALUATED: {"more": "flag?"},
    Answer.COMPLETIONS: {"matches": "[text]?"},
    Answer.STACKS: {"threads": "[thread]"},
    Event.STDOUT: {"run": "text?"},
    Event.STDERR: {"run": "text?"},
    Event.CONSUMED: {"size": "number"},
    Event.EXITED: {
        "run": "text?",
        "code": "number?",
        "signal": "number?",
        "reason": "text?",
        "seconds": "seconds?",
        "peak": "number?",
        "killed": "number?",
    },
    Event.LOG: {"text": "words?"},
    Event.OUTPUT: {"session": "number?"},
}
_PARTS: Mapping[str, Mapping[str, str]] = {
    "owner": {"user": "text?", "command": "text?", "since": "number?"},
    "thread": {"name": "text", "main": "flag?", "frames": "[frame]"},
    "frame": {"file": "text", "line": "number?", "function": "text"},
}
# An error can be the answer to each.
_ANSWERS: Mapping[str, tuple[str, ...]] = {
    Request.HELLO: (Answer.HELLO,),
    Request.PRELOAD: (Answer.PRELOADED,),
    Request.OPEN: (Answer.OPENED,),
    Request.COMMIT: (Answer.COMMITTED, Answer.REFUSED),
    Request.START: (Answer.STARTED,),
    Request.RELOAD: (Answer.RELOADED, Answer.RESTARTED),
    Request.MEMORY: (Answer.MEMORY,),
    Request.ATTACH: (Answer.ATTACHED,),
    Request.EVAL: (Answer.EVALUATED,),
    Request.COMPLETE: (Answer.COMPLETIONS,),
    Request.STACKS: (Answer.STACKS,),
}


def check_message(message: Message) -> None:
    """Raise AgentError unless *message* has the fields that its type must have. Other types pass: nobody uses them."""
    try:
        _check_fields(message, _MESSAGES.get(message["type"], {}))
    except ValueError as error:
        raise broken_protocol(f"`{message['type'][:40]}` has {error}") from None


def check_answer(request: str, frame: Frame) -> None:
    """Raise AgentError unless *frame* can be the answer to a *request* of that type."""
    if frame.type not in (Answer.ERROR, *_ANSWERS.get(request, (frame.type,))):
        raise broken_protocol(f"it answered `{request}` with `{frame.type[:40]}`")


def broken_protocol(what: object) -> AgentError:
    """Return the error for an agent that does not keep to the protocol."""
    return AgentError(f"the camera's answer is not in the agent's protocol: {what}", kind=ErrorKind.PROTOCOL)


def _check_fields(message: object, types: Mapping[str, str]) -> object:
    if not isinstance(message, dict):
        raise ValueError(f"{type(message).__name__} in place of an object")
    for name, type_ in types.items():
        try:
            parse_value(message.get(name), type_, _check_part)
        except ValueError as error:
            raise ValueError(f"a wrong {name}: {error}") from None
    return message


def _check_part(value: object, type_: str) -> object:
    if type_ != "words":
        return _check_fields(value, _PARTS[type_])
    if not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} in place of text")
    return value
