"""The addresses of the accounts pages."""

from django.urls import path

from accounts.views import (
    audit_trail,
    departments,
    notices,
    people,
    profile,
    proposals,
    sign_in,
)

app_name = "accounts"

urlpatterns = [
    path("sign-in/", sign_in.SignInView.as_view(), name="sign-in"),
    path("sign-out/", sign_in.SignOutView.as_view(), name="sign-out"),
    path("password/change/", sign_in.PasswordChangeView.as_view(), name="password-change"),
    path("password/reset/", sign_in.PasswordResetView.as_view(), name="password-reset"),
    path(
        "password/reset/sent/",
        sign_in.PasswordResetDoneView.as_view(),
        name="password-reset-done",
    ),
    path("password/set/", sign_in.OpenPasswordLinkView.as_view(), name="password-link"),
    path(
        "password/set/new/",
        sign_in.PasswordResetConfirmView.as_view(),
        name="password-reset-confirm",
    ),
    path(
        "password/set/done/",
        sign_in.PasswordResetCompleteView.as_view(),
        name="password-reset-complete",
    ),
    path("profile/", profile.ProfileView.as_view(), name="profile"),
    path("profile/notices/seen/", notices.NoticesSeenView.as_view(), name="notices-seen"),
    path("profile/tokens/new/", profile.TokenCreateView.as_view(), name="token-create"),
    path(
        "profile/sessions/end-others/",
        profile.OtherSessionsEndView.as_view(),
        name="session-end-others",
    ),
    path("profile/sessions/<uuid:pk>/end/", profile.SessionEndView.as_view(), name="session-end"),
    path("tokens/<uuid:pk>/revoke/", profile.TokenRevokeView.as_view(), name="token-revoke"),
    path("people/", people.UserListView.as_view(), name="user-list"),
    path("people/invite/", people.UserInviteView.as_view(), name="user-invite"),
    path("people/proposals/", proposals.RoleProposalListView.as_view(), name="role-proposal-list"),
    path(
        "people/proposals/<uuid:pk>/accept/",
        proposals.RoleProposalAcceptView.as_view(),
        name="role-proposal-accept",
    ),
    path(
        "people/proposals/<uuid:pk>/decline/",
        proposals.RoleProposalDeclineView.as_view(),
        name="role-proposal-decline",
    ),
    path("people/<uuid:pk>/", people.UserEditView.as_view(), name="user-edit"),
    path(
        "people/<uuid:pk>/deactivate/",
        people.UserDeactivateView.as_view(),
        name="user-deactivate",
    ),
    path(
        "people/<uuid:pk>/reactivate/",
        people.UserReactivateView.as_view(),
        name="user-reactivate",
    ),
    path(
        "people/<uuid:pk>/password-link/",
        people.PasswordLinkView.as_view(),
        name="user-password-link",
    ),
    path(
        "people/<uuid:pk>/sessions/end/",
        people.UserSessionsEndView.as_view(),
        name="user-sessions-end",
    ),
    path("departments/", departments.DepartmentListView.as_view(), name="department-list"),
    path("departments/new/", departments.DepartmentCreateView.as_view(), name="department-create"),
    path(
        "departments/<uuid:pk>/", departments.DepartmentEditView.as_view(), name="department-edit"
    ),
    path("audit/", audit_trail.AuditListView.as_view(), name="audit-list"),
    path("audit/export/", audit_trail.AuditExportView.as_view(), name="audit-export"),
]
