"""Who may do what, and who did what: users, departments, roles, tokens, the audit trail."""
