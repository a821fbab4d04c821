"""Which department a batch is for: named, bound to the token, the only one, or by the rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.audit import record_event
from accounts.models import Department, User
from accounts.roles import Verb
from records.choices import Action
from records.dicom.reading.declared import DeclaredFields
from records.errors import (
    DepartmentRequired,
    DepartmentUnclear,
    DepartmentUnknown,
    RuleSaysNothing,
    RuleTaken,
)
from records.models import DepartmentRule, RoutingFacts, Submission
from records.querysets import DepartmentRuleQuerySet
from records.services.verdicts import ReceivedObject

EDITABLE = ("department", "position", "modality", "body_part", "ae_title")


@dataclass(frozen=True, slots=True)
class DepartmentChoice:
    """The department of a batch; `is_routed` where the rules chose it."""

    department: Department
    is_routed: bool = False


def choose_department(
    *, actor: User, given: str = "", facts: Iterable[RoutingFacts] = ()
) -> DepartmentChoice:
    """Return the department that a sender means by slug, name or id.

    Without any it is the only one in which the actor (or the token in use) may submit, or the one
    to which the rules send everything that `facts` tell of. Raises DepartmentUnknown for one in
    which they may not, and DepartmentRequired where nothing decides.
    """
    allowed = actor.departments_for(Verb.STUDY_SUBMIT).order_by("name")
    if given:
        return DepartmentChoice(_named(allowed, given))
    offered = list(allowed)
    if len(offered) == 1:
        return DepartmentChoice(offered[0])
    rules = rules_for(actor)
    found = {rules.find_department_id(each) for each in facts} if rules else set()
    chosen = [department for department in offered if found == {department.pk}]
    if not chosen:
        raise DepartmentRequired(offered)
    return DepartmentChoice(chosen[0], is_routed=True)


def rules_for(actor: User) -> DepartmentRuleQuerySet:
    """The rules that lead to departments in which the actor may submit, in their order."""
    return DepartmentRule.objects.among(actor.department_ids_for(Verb.STUDY_SUBMIT))


def declared_facts(declared: DeclaredFields) -> RoutingFacts:
    """What a sender states that may decide where files are filed."""
    return RoutingFacts(declared.modality.strip().upper(), declared.body_part.strip().upper())


def check_routed(
    rules: DepartmentRuleQuerySet, submission: Submission, received: ReceivedObject
) -> None:
    """Refuse a file that the rules don't send where its batch is filed: DepartmentUnclear."""
    header = received.header
    stated = declared_facts(DeclaredFields.from_json(submission.declared))
    facts = RoutingFacts(
        header.text("Modality"),
        header.text("BodyPartExamined"),
        header.source_application_entity_title,
    ).or_else(stated)
    if rules.find_department_id(facts) != submission.department_id:
        raise DepartmentUnclear(
            modality=facts.modality or "not stated", body_part=facts.body_part or "not stated"
        )


@transaction.atomic
def add_rule(*, actor: User, **values: Any) -> DepartmentRule:
    """Add a rule; `values` are the fields in EDITABLE.

    Raises RuleTaken, RuleSaysNothing, and ValidationError for values that aren't possible.
    """
    rule = DepartmentRule(**values)
    _save(rule)
    _record(Action.RULE_ADDED, actor, rule)
    return rule


@transaction.atomic
def update_rule(*, actor: User, rule: DepartmentRule, **values: Any) -> DepartmentRule:
    """Change a rule for what is sent from now on; else as `add_rule`."""
    rule = DepartmentRule.objects.select_for_update().get(pk=rule.pk)
    before = _described(rule)
    for name, value in values.items():
        setattr(rule, name, value)
    _save(rule)
    after = _described(rule)
    changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    _record(Action.RULE_CHANGED, actor, rule, changed=changed)
    return rule


@transaction.atomic
def remove_rule(*, actor: User, rule: DepartmentRule) -> None:
    """Ask a rule no more. What it has sent somewhere stays there."""
    _record(Action.RULE_REMOVED, actor, rule)
    rule.delete()


def _named(allowed: QuerySet[Department], given: str) -> Department:
    department = allowed.filter(Q(slug=given) | Q(name__iexact=given)).first()
    if department is None:
        try:
            department = allowed.filter(pk=given).first()
        except ValidationError:
            department = None
    if department is None:
        raise DepartmentUnknown
    return department


def _save(rule: DepartmentRule) -> None:
    rule.modality, rule.body_part = rule.modality.strip().upper(), rule.body_part.strip().upper()
    rule.ae_title = rule.ae_title.strip()
    if not (rule.modality or rule.body_part or rule.ae_title):
        raise RuleSaysNothing
    rule.clean_fields()
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError as error:
        raise RuleTaken from error


def _record(action: Action, actor: User, rule: DepartmentRule, **more: Any) -> None:
    record_event(
        action=action,
        actor=actor,
        target=rule,
        department_id=rule.department_id,
        details={"rule": str(rule), "department": str(rule.department), **_described(rule)} | more,
    )


def _described(rule: DepartmentRule) -> dict[str, Any]:
    values = {name: getattr(rule, name) for name in EDITABLE if name != "department"}
    return {"department": str(rule.department), **values}
