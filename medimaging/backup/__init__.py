"""Backups of the whole installation: made, verified and restored, each by one command.

A backup set is a directory that holds many generations and one copy of each file:

```
medimaging-backup.json              says what the directory is
files/ab/cd/<sha256>                each file's bytes once, under their hash
generations/<time>/manifest.json    written last: what has none is half a backup
                   database.dump    pg_dump's own format
                   files.tsv        hash, size, place and name of every file
```
"""
