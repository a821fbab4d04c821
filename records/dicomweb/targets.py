"""The resources that addresses name, among what one may see; anything else is 404."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse

from accounts.models import User
from records.errors import StoredFileDamaged
from records.models import Instance, Series, Study

ROWS_AT_A_TIME = 200


@dataclass(frozen=True, slots=True)
class Target:
    """A study, or the series or instance of it that an address names; `instances` are its rows."""

    study: Study
    instances: QuerySet[Instance]

    @property
    def only_instance(self) -> Instance:
        """The instance, where the address names one."""
        return self.instances.get()

    def whole_instances(self) -> QuerySet[Instance]:
        """The instances that can be sent; raises StoredFileDamaged where none is left."""
        whole = self.instances.filter(damage="")
        if not whole.exists():
            raise StoredFileDamaged
        return whole


def find_study(user: User, study_uid: str) -> Study:
    """Return a study that `user` may see; 404 for any other.

    Of two departments' studies under one UID, the first received for those who see both.
    """
    visible = Study.objects.visible_to(user).select_related("patient")
    found = visible.filter(study_instance_uid=study_uid).order_by("received_at", "pk").first()
    if found is None:
        raise Http404
    return found


def find_series(user: User, study_uid: str, series_uid: str) -> Series:
    """Return a series of a study that `user` may see; 404 for any other."""
    study = find_study(user, study_uid)
    series = Series.objects.visible_to(user).filter(study=study).select_related("study")
    return get_object_or_404(series, series_instance_uid=series_uid)


def find_target(user: User, study_uid: str, series_uid: str = "", instance_uid: str = "") -> Target:
    """Return what an address names; 404 where `user` may see no such thing."""
    study = find_study(user, study_uid)
    rows = Instance.objects.of_study(study)
    if series_uid:
        rows = rows.filter(series__series_instance_uid=series_uid)
    if instance_uid:
        rows = rows.filter(sop_instance_uid=instance_uid)
    if not rows.exists():
        raise Http404
    return Target(study, rows)


def in_pages(rows: QuerySet[Instance]) -> Iterator[Instance]:
    """Yield rows in their order, a page of them at a time: an answer may take long to send.

    A cursor would have to stay open in the database for as long.
    """
    keys = list(rows.values_list("pk", flat=True))
    for first in range(0, len(keys), ROWS_AT_A_TIME):
        yield from rows.filter(pk__in=keys[first : first + ROWS_AT_A_TIME])


def study_url(study_uid: str) -> str:
    """The address of a study: whole where it is known how this server is reached, else relative.

    What a request calls this server may leave its port out, or be a lie. PS3.5 6.2 lets
    addresses be relative to the one that was asked.
    """
    path = reverse("api-dicomweb-study", kwargs={"study_uid": study_uid})
    return f"{settings.SITE_URL}{path}" if settings.IS_SITE_URL_SET else path


def series_url(study_uid: str, series_uid: str) -> str:
    """The address of a series."""
    return f"{study_url(study_uid)}/series/{series_uid}"


def instance_url(study_uid: str, series_uid: str, instance_uid: str) -> str:
    """The address of an instance."""
    return f"{series_url(study_uid, series_uid)}/instances/{instance_uid}"
