"""Events of the installation itself in words, for staff."""

from medimaging.choices import Action

SENTENCES: dict[str, str] = {
    Action.BACKUP_MADE: "A backup was made: {rows} rows, {files} files, {lacking} lacking",
    Action.BACKUP_RESTORED: "The installation was restored from the backup of {made_at}",
}
