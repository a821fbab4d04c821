"""The forms of the accounts pages; what they collect goes to the services."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import forms as auth_forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.errors import KnownError, MailNotConfigured, SignInBusy, TooManyAttempts
from accounts.filters import FilterForm
from accounts.models import ApiToken, Department, User
from accounts.roles import DEPARTMENT_ROLES, VERB_WORDS, Role, Verb
from accounts.services import (
    Proof,
    change_password,
    confirm_password,
    request_password_reset,
    set_password_through_link,
    sign_in_user,
)
from accounts.services.grants import Grant
from accounts.services.tokens import MAX_DAYS

plain_text = RegexValidator(
    r"[\x00-\x1f\x7f\\]", "No backslash and no control characters.", inverse_match=True
)
HOSPITAL_ROLES = [role for role in Role if role not in DEPARTMENT_ROLES]
DEPARTMENT_ROLE_FIELDS = {role: f"{role.value}_in" for role in Role if role in DEPARTMENT_ROLES}
TOKEN_DAYS = 90


def as_validation_error(error: KnownError) -> ValidationError:
    """Put a known error into the words of a form."""
    return ValidationError(f"{error.message} {error.action}", code=error.code)


class SignInForm(auth_forms.AuthenticationForm):
    """Django's sign-in form, through the service that slows guessers down."""

    request: HttpRequest
    refusal: TooManyAttempts | SignInBusy | None = None

    def clean(self) -> dict[str, Any]:
        """Look the person up, or say why not."""
        username = self.cleaned_data.get("username")
        password = self.cleaned_data.get("password")
        if username is not None and password:
            try:
                self.user_cache = sign_in_user(
                    username=username,
                    password=password,
                    device=self.request.COOKIES.get(settings.DEVICE_COOKIE_NAME, ""),
                    proof=Proof(self.data.get("challenge", ""), self.data.get("work", "")),
                )
            except (TooManyAttempts, SignInBusy) as error:
                self.refusal = error
                raise as_validation_error(error) from error
            if self.user_cache is None:
                raise self.get_invalid_login_error()
        return self.cleaned_data


class ChangePasswordForm(auth_forms.PasswordChangeForm):
    """The old password once, the new one twice."""

    def __init__(self, *args: Any, keep_session: str | None = None, **kwargs: Any) -> None:
        """`keep_session` is the session in which the form is filled in."""
        super().__init__(*args, **kwargs)
        self.keep_session = keep_session

    def clean_old_password(self) -> str:
        """Check it, as slowly as at the sign-in for those who guess."""
        password: str = self.cleaned_data["old_password"]
        try:
            is_right = confirm_password(actor=self.user, password=password)
        except KnownError as error:
            raise as_validation_error(error) from error
        if not is_right:
            raise ValidationError(
                self.error_messages["password_incorrect"], code="password_incorrect"
            )
        return password

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002 - Django's signature
        """Replace the password."""
        return change_password(
            actor=self.user,
            password=self.cleaned_data["new_password1"],
            keep_session=self.keep_session,
        )


class OpenLinkForm(forms.Form):
    """A set-password link: filled in by the page's script, or pasted where there is none."""

    link = forms.CharField(
        label="Set-password link",
        max_length=500,
        help_text="Paste the whole link from your mail, or the one that you were handed.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_link(self) -> tuple[str, str]:
        """Return the owner and the token that stand behind the link's #."""
        owner, _, token = self.cleaned_data["link"].rpartition("#")[2].partition(".")
        if not (owner and token):
            raise ValidationError("This is no whole link. Copy all of it.", code="link_incomplete")
        return owner, token


class SetPasswordForm(auth_forms.SetPasswordForm):
    """The new password twice, behind a link that came by e-mail or from an administrator."""

    def __init__(self, *args: Any, token: str = "", **kwargs: Any) -> None:
        """Keep the secret of the link: it says whose word the new password rests on."""
        super().__init__(*args, **kwargs)
        self.token = token

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002 - Django's signature
        """Set the password of the person whom the link belongs to. Raises PasswordLinkEnded."""
        return set_password_through_link(
            user=self.user, token=self.token, password=self.cleaned_data["new_password1"]
        )


class RequestResetForm(auth_forms.PasswordResetForm):
    """An e-mail address; what the page answers never says whether it is known."""

    def clean(self) -> dict[str, Any] | None:
        """Refuse where no mail can be sent, rather than let people wait for it."""
        if not settings.MAIL_ENABLED:
            raise as_validation_error(MailNotConfigured())
        return super().clean()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Take note; a worker mails the link."""
        request_password_reset(actor=None, email=self.cleaned_data["email"])


class UserFilterForm(FilterForm):
    """What narrows the list of people."""

    q = forms.CharField(
        required=False,
        label="Search people",
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "Name or e-mail"}),
    )
    role = forms.ChoiceField(
        required=False, label="Role", choices=[("", "Any role"), *Role.choices]
    )
    state = forms.ChoiceField(
        required=False,
        label="State",
        choices=[("", "Any state"), ("active", "Active"), ("inactive", "Deactivated")],
    )

    def narrow(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The people who pass."""
        return rows.filtered(**self.given)  # type: ignore[attr-defined]  # a UserQuerySet


class UserForm(forms.Form):
    """A person's name, e-mail and roles: one list of departments per departmental role."""

    full_name = forms.CharField(label="Full name", max_length=150, strip=True)
    email = forms.EmailField(label="E-mail", required=False)
    hospital_roles = forms.MultipleChoiceField(
        label="Roles for the whole hospital",
        required=False,
        choices=[(role.value, role.label) for role in HOSPITAL_ROLES],
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the departments as they are now."""
        super().__init__(*args, **kwargs)
        departments = Department.objects.all()
        for role, name in DEPARTMENT_ROLE_FIELDS.items():
            self.fields[name] = forms.ModelMultipleChoiceField(
                departments,
                label=f"{role.label} in",
                required=False,
                widget=forms.CheckboxSelectMultiple,
            )

    @classmethod
    def initial_for(cls, user: User) -> dict[str, Any]:
        """What the form shows before anybody edits it."""
        held = user.memberships_held
        initial: dict[str, Any] = {
            name: [row.department_id for row in held if row.role == role]
            for role, name in DEPARTMENT_ROLE_FIELDS.items()
        }
        return initial | {
            "full_name": user.full_name,
            "email": user.email,
            "hospital_roles": [row.role for row in held if row.role in HOSPITAL_ROLES],
        }

    def memberships(self) -> list[Grant]:
        """The chosen roles, as the services take them."""
        grants: list[Grant] = [(role, None) for role in self.cleaned_data["hospital_roles"]]
        for role, name in DEPARTMENT_ROLE_FIELDS.items():
            grants += [(role.value, department) for department in self.cleaned_data[name]]
        return grants


class InviteForm(UserForm):
    """The same for a new person, with the user name that stays theirs for ever."""

    username = forms.CharField(
        label="User name",
        max_length=150,
        validators=[User.username_validator],
        help_text="Letters, digits and @ . + - _ only. It can't be changed or used again later.",
    )
    field_order = ("username", "full_name", "email", "hospital_roles")

    def clean(self) -> dict[str, Any]:
        """Ask for a role: without one the person could sign in and do nothing."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not self.memberships():
            raise ValidationError(
                "Choose at least one role, for the whole hospital or in a department.",
                code="role_required",
            )
        return cleaned


class DepartmentForm(forms.Form):
    """A department's name, and who issues its patient IDs."""

    name = forms.CharField(label="Name", max_length=120, strip=True)
    default_issuer = forms.CharField(
        label="Issuer of patient IDs",
        required=False,
        max_length=64,
        validators=[plain_text],
        help_text="For photographs, whose sender types a patient ID without its issuer. Write it "
        "as your devices do (DICOM Issuer of Patient ID); leave it empty if they write none.",
    )


class TokenForm(forms.Form):
    """A new API token of one's own."""

    name = forms.CharField(
        label="Name",
        max_length=ApiToken._meta.get_field("name").max_length,
        help_text="What the token is for, so that you know which one to revoke.",
    )
    days = forms.IntegerField(
        label="Valid for (days)",
        min_value=1,
        max_value=MAX_DAYS,
        initial=TOKEN_DAYS,
        help_text=f"1 to {MAX_DAYS}.",
    )
    scopes = forms.MultipleChoiceField(
        label="Permissions",
        widget=forms.CheckboxSelectMultiple,
        help_text="Choose only what the program needs. A token never does more than you may.",
    )
    department = forms.ModelChoiceField(
        Department.objects.none(),
        required=False,
        empty_label="All of mine",
        help_text="A token for one department acts in no other, and what it sends is filed there.",
    )
    field_order = ("name", "days", "department", "scopes")

    def __init__(
        self,
        *args: Any,
        verbs: frozenset[Verb],
        departments: Sequence[Department] = (),
        **kwargs: Any,
    ) -> None:
        """Offer what the person may do, none of it ticked, and their departments."""
        super().__init__(*args, **kwargs)
        held = Department.objects.filter(pk__in=[department.pk for department in departments])
        self.fields["department"].queryset = held  # type: ignore[attr-defined]  # it has one
        offered = sorted(verb.value for verb in verbs)
        choices = [(verb, VERB_WORDS[verb]) for verb in offered]
        self.fields["scopes"].choices = choices  # type: ignore[attr-defined]  # it has them
