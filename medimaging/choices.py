"""What the trail tells of the installation itself."""

from accounts.actions import AuditAction


class Action(AuditAction):
    """What happened to the installation as a whole."""

    BACKUP_MADE = "backup.made", "Backup made"
    BACKUP_RESTORED = "backup.restored", "Backup restored"
