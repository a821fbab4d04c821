"""What can stand in the way of a backup or of its return, for whoever typed the command."""

from accounts.errors import KnownError


class BackupError(KnownError):
    """Something that an operator can put right."""

    code = "backup_failed"
    message = "The backup could not be made."
    action = "Look at the message above."


class ProgramMissing(BackupError):
    """The dump is PostgreSQL's own program's, and an older one doesn't know the newer server."""

    code = "postgres_program_missing"
    message = "{name} of PostgreSQL {version} or newer is needed; here is {found}."
    action = "Install postgresql-client-{version}, or put its directory into PATH."


class ProgramFailed(BackupError):
    """PostgreSQL's program ended with an error of its own."""

    code = "postgres_program_failed"
    message = "{name} failed: {reason}"
    action = "Put that right, and start the command again."


class DatabaseAway(BackupError):
    """Nothing can be copied out of a database that doesn't answer."""

    code = "database_unavailable"
    message = "The database can't be reached: {reason}"
    action = "Start PostgreSQL, check DATABASE_OWNER_URL and DATABASE_URL, and start again."


class StoreAway(BackupError):
    """A store that isn't there would make a backup without images."""

    code = "storage_unavailable"
    message = "The store of images can't be read: {reason}"
    action = "Mount the disk or reach the service, and start the command again."


class BackupRunning(BackupError):
    """One at a time: each holds up what removes files."""

    code = "backup_running"
    message = "Another backup or restore of this installation, or into {place}, is running."
    action = "Wait for it to end. A killed one lets go by itself."


class NotABackupSet(BackupError):
    """A directory that holds something else is never written to, nor read as a backup."""

    code = "not_a_backup_set"
    message = "{place} is no backup set: {reason}"
    action = "Name the directory that `manage.py backup` writes to, or an empty one."


class SetUnwritable(BackupError):
    """The disk of the backups is full, or isn't there."""

    code = "backup_set_unwritable"
    message = "The backup set in {place} can't be written: {reason}."
    action = "Make room, or mount it; half a backup is left, and the next goes on from there."


class NoGeneration(BackupError):
    """Nothing whole is there to restore."""

    code = "no_generation"
    message = "{place} holds no whole backup called {wanted}."
    action = "Whole ones: {whole}."


class BackupDamaged(BackupError):
    """What is read isn't what was written."""

    code = "backup_damaged"
    message = "{problems} of the backup's files are damaged or missing; the first is {first}."
    action = "Take another generation, or another copy of this set."


class NotEmpty(BackupError):
    """Restoring over an installation in use destroys what came since."""

    code = "installation_not_empty"
    message = "This installation is in use: {rows}."
    action = "Restore into an empty one; or, where all of that may go, add --replace."


class InUse(BackupError):
    """A process that is connected would see its tables go."""

    code = "database_in_use"
    message = "Others are connected to the database: {others}."
    action = "Stop web, workers, DICOM and whatever else uses it, and start the command again."


class ReleaseOlder(BackupError):
    """An older release doesn't know the newer one's tables."""

    code = "release_older"
    message = "The backup is of release {made_by}; {release} lacks its migrations {names}."
    action = "Install release {made_by} or a newer one, and restore with it."


class CountsDiffer(BackupError):
    """The database that came back isn't the one that was dumped."""

    code = "counts_differ"
    message = "After the restore these tables hold other numbers of rows: {tables}."
    action = "Don't start the product. Verify the backup, and restore again with --replace."


class ScratchUnset(BackupError):
    """Making a database takes a right that no role of the product has."""

    code = "scratch_database_unset"
    message = "No role of the product may make a database to restore into."
    action = "Set DATABASE_ADMIN_URL to a superuser's address for this command."
