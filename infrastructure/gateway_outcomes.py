"""How a call of an outside service ends without an answer, and what is certain then."""

import os
import ssl
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import httpcore
import httpx

from infrastructure.egress import NameNotResolved


class Cause(StrEnum):
    """Why a call ended without an answer."""

    EGRESS_REFUSED = "egress_refused"
    NAME_NOT_RESOLVED = "name_not_resolved"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    BUSY = "busy"
    CIRCUIT_OPEN = "circuit_open"
    ANSWER_BROKEN = "answer_broken"


class GatewayError(Exception):
    """A call without an answer. `reason` is one sentence, free of secrets, for people."""

    def __init__(self, cause: Cause, reason: str, call: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.cause = cause
        self.reason = reason


class GatewayUnreachable(GatewayError):
    """The service has not received the request."""


class GatewayOutcomeUnknown(GatewayError):
    """The service may have received the request and acted on it; `status` is that of an answer
    which began and did not end."""

    def __init__(self, cause: Cause, reason: str, call: str, status: int | None = None) -> None:
        super().__init__(cause, reason, call)
        self.status = status


class Progress:
    """How far an attempt got, told by httpcore's trace extension."""

    def __init__(self) -> None:
        self.begun = False
        self.sent = False
        self.status: int | None = None
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def note(self, event: str, info: dict[str, Any]) -> None:
        """Called at each step from the moment that the pool has given a connection."""
        self.begun = True
        if event == "http11.send_request_headers.started":
            self.sent = True
        elif event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event == "connection.start_tls.failed" and self._stream is not None:
            # A deadline in the middle of the handshake would leave the socket open.
            await self._stream.aclose()


def failure(call: str, progress: Progress, error: Exception) -> GatewayError:
    """The error that tells what is certain: its kind depends on whether anything had been sent."""
    cause, reason = _diagnosis(error, progress)
    if not progress.sent:
        return GatewayUnreachable(cause, reason, call)
    return GatewayOutcomeUnknown(cause, reason, call, progress.status)


def _diagnosis(error: Exception, progress: Progress) -> tuple[Cause, str]:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        if not progress.begun:
            return Cause.BUSY, "Too many requests to all services are under way."
        return Cause.TIMED_OUT, "There was no complete answer in time."
    if progress.sent:
        return Cause.ANSWER_BROKEN, "The connection ended or failed before the answer was complete."
    for origin in _origins(error):
        match origin:
            case NameNotResolved():
                return Cause.NAME_NOT_RESOLVED, str(origin)
            case ssl.SSLCertVerificationError():
                return Cause.TLS_FAILED, f"The certificate is not valid: {origin.verify_message}"
            case ssl.SSLError():
                return Cause.TLS_FAILED, "No secure connection could be made."
            case OSError(errno=int(number)):
                return Cause.CONNECT_FAILED, f"The connection failed: {os.strerror(number)}."
    return Cause.CONNECT_FAILED, "The connection failed."


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        # The pool re-raises "from None", which keeps the context and drops the cause.
        error = error.__cause__ or error.__context__
