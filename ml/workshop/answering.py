"""Answers files with the model of a task, named beforehand or found by the router."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.abstention import Abstention
from ml.bundles import find_bundles, find_task_bundle
from ml.errors import MLError
from ml.images import Frame, read_frames
from ml.predictor import Predictor, open_predictor
from ml.router import ROUTER_TASK, Routing, compare_routing, make_routing, read_kinds
from ml.workshop.prediction_output import (
    describe_error,
    describe_predictions,
    describe_routing,
    describe_unrouted,
)


class Answerer:
    """Opened bundles for one run over files: the task's, or the router's and what it asks for."""

    def __init__(
        self,
        bundles: Path,
        *,
        task: str | None = None,
        bundle: Path | None = None,
        is_routed: bool = False,
        is_source_validated: bool = False,
        device: str = "auto",
    ) -> None:
        """Open what is certain to be needed.

        `is_source_validated` says that somebody measured the models where the files come from.
        Raises what `open_predictor` raises, and ValueError without task, bundle and router.
        """
        self._bundles = bundles
        self._device = device
        self._is_source_validated = is_source_validated
        self._found: dict[str, Predictor] = {}
        self._given: Predictor | None = None
        if bundle or task:
            chosen = bundle or find_task_bundle(bundles, task or "")
            self._given = open_predictor(chosen, device=device)
        self._router = self._open(ROUTER_TASK) if is_routed else None
        self._kinds = read_kinds()
        first = self._given or self._router
        if first is None:
            raise ValueError("neither a task nor a router was given")
        self._first = first

    def answer(self, path: Path) -> dict[str, Any]:
        """One file as a study of its own, in plain values; a known error becomes its code."""
        try:
            frames = read_frames(path)
            if self._router is None:
                predictions = self._first.predict(frames)
                return describe_predictions(
                    self._first,
                    path,
                    frames,
                    predictions,
                    is_source_validated=self._is_source_validated,
                )
            return self._answer_routed(self._router, path, frames)
        except MLError as error:
            return describe_error(path, error, self._first)

    def _answer_routed(
        self, router: Predictor, path: Path, frames: Sequence[Frame]
    ) -> dict[str, Any]:
        """Routed by the middle frame: the ends of a series show least of what it was made for."""
        middle = len(frames) // 2
        (seen,) = router.predict([frames[middle]])
        routing = make_routing(router, frames[middle], seen, self._kinds)
        shown = {"routing": describe_routing(router, routing)}
        if self._given is None and (withheld := self._withhold(routing)):
            return describe_unrouted(router, path, frames, seen, withheld, row=middle) | shown
        predictor = self._given or self._open(routing.task or "")
        predictions = predictor.predict(frames)
        described = describe_predictions(
            predictor,
            path,
            frames,
            predictions,
            elsewhere=compare_routing(predictor.bundle.task, routing, self._kinds),
            is_source_validated=self._is_source_validated,
        )
        return described | shown

    def _withhold(self, routing: Routing) -> Abstention | None:
        """Why no model is asked, if none can be chosen by look alone."""
        if not routing.is_sure:
            reason = "What the image shows can't be told for sure, so no model was chosen."
            return routing.abstention or Abstention("route_unsure", reason)
        installed = {found.parent.name for found in find_bundles(self._bundles)}
        if routing.task not in installed:
            looks = self._kinds.name_of(routing.label)
            return Abstention("no_task", f"The image looks like {looks}; no model reads that.")
        return None

    def _open(self, task: str) -> Predictor:
        if task not in self._found:
            chosen = find_task_bundle(self._bundles, task)
            self._found[task] = open_predictor(chosen, device=self._device)
        return self._found[task]
