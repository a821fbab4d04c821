"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key): a request sent twice is done once."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import signed_in_user
from accounts.errors import IdempotencyKeyInvalid
from accounts.models import KeptAnswer
from accounts.services.kept_answers import Answer, claimed_request, keep_answer, release_request

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEY = re.compile(r"[!-~]{1,255}")
OF_THE_CONNECTION = frozenset({"allow", "content-type", "vary"})

Recall = Callable[[Any, Any], None]
Handler = Callable[..., Response]


def idempotent(
    recall: Recall, *, without: tuple[str, ...] = (), is_repeatable: bool = False
) -> Callable[[Handler], Handler]:
    """Have a handler do a request once that comes with a key; only successes are kept.

    `recall(view, body)` is called before a kept answer leaves again: it raises what the caller
    may not see any more, and tells the trail of the look. The fields `without` aren't kept. A
    request that was cut off is done again where it `is_repeatable`, that is, knows its own work.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def answer_once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return handler(view, request, *args, **kwargs)
            if not KEY.fullmatch(key):
                raise IdempotencyKeyInvalid
            with claimed_request(
                actor=signed_in_user(request),
                key=key,
                fingerprint=fingerprint_of(view, request),
                is_repeatable=is_repeatable,
            ) as claim:
                if isinstance(claim, KeptAnswer):
                    return _do(functools.partial(handler, view, request, *args, **kwargs), claim)
                recall(view, claim.body)
                headers = {**claim.headers, REPLAYED: "true"}
                return Response(claim.body, status=claim.status, headers=headers)

        def _do(act: Callable[[], Response], row: KeptAnswer) -> Response:
            try:
                response = act()
            except BaseException:
                release_request(row=row)
                raise
            kept = {name: value for name, value in response.data.items() if name not in without}
            body = json.loads(json.dumps(kept, default=str))
            headers = {
                name: value
                for name, value in response.items()
                if name.lower() not in OF_THE_CONNECTION
            }
            keep_answer(row=row, answer=Answer(response.status_code, headers, body))
            return response

        answer_once.is_idempotent = True  # type: ignore[attr-defined]  # for the API's document
        return answer_once

    return decorate


def is_idempotent(handler: Any) -> bool:
    """Whether a handler does a request with a key once."""
    return bool(getattr(handler, "is_idempotent", False))


def fingerprint_of(view: Any, request: Request) -> str:
    """What was sent, in words: two requests are the same if these are.

    A view that reads its body while it comes names in `announced` the headers that stand for it.
    Raises why a file couldn't be kept: a request that hasn't come whole can't be known again.
    """
    announced = getattr(view, "announced", None)
    if announced is None:
        sent: Any = _described(request.data)
    else:
        sent = {name: request.headers.get(name, "") for name in announced}
    path = request.get_full_path()
    return json.dumps([request.method, path, sent], sort_keys=True, default=str)


def _described(data: Any) -> Any:
    if not hasattr(data, "lists"):
        return data
    return {name: [_value(one) for one in values] for name, values in data.lists()}


def _value(value: Any) -> Any:
    if isinstance(value, UploadedFile):
        return [value.name, value.size, getattr(value, "sha256", "")]
    return value
