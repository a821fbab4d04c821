"""The clock of the periodic tasks: it knows whether it is heard, and doesn't pile bells up."""

from collections import Counter
from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry
from celery.signals import beat_init

from accounts.doorbell import count_bells
from accounts.processes import name_process
from medimaging.hearing import Hearing, end_now, keep_watch


class WatchedScheduler(PersistentScheduler):
    """Celery's own scheduler, with proof that its bells arrive and a bound on those unheard."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.hearing = Hearing()
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Ring what is due. A round in which nothing was due is no silence."""
        interval: float = super().tick(*args, **kwargs)
        if interval and not self.hearing.is_seeking:
            self.hearing.hear()
        return interval

    def apply_async(
        self, entry: ScheduleEntry, producer: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Ring for one task, unless nobody has come for two rounds of all of them."""
        try:
            sent = None
            queue = entry.options["queue"]
            if count_bells(producer, queue) < 2 * self.tasks_by_queue[queue]:
                sent = super().apply_async(entry, producer, *args, **kwargs)
        except Exception:
            self.hearing.lost()
            raise
        self.hearing.connected()
        return sent

    @property
    def tasks_by_queue(self) -> Counter[str]:
        """How many periodic tasks ring in each queue."""
        return Counter(entry.options["queue"] for entry in self.schedule.values())

    def close(self) -> None:
        """Stop counting as somebody who lives."""
        self.hearing.end()
        super().close()


@beat_init.connect
def watch_beat(sender: Any, **_: Any) -> None:
    """Name this process, and watch it from its first round on."""
    name_process("beat")
    keep_watch(sender.scheduler.hearing, on_deaf=end_now)
