"""Migrations expand before they contract: the release before goes on working on the new schema."""

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from tests.upgrades.expansion import find_contractions
from tests.upgrades.releases import contracts, last_migrations


def test_nothing_contracts_since_the_last_release_but_what_is_said_to_be_safe() -> None:
    loader = MigrationLoader(None)
    released = {
        node for target in last_migrations().items() for node in loader.graph.forwards_plan(target)
    }
    leaves = loader.graph.leaf_nodes()
    plan = [node for leaf in leaves for node in loader.graph.forwards_plan(leaf)]
    ours = {*last_migrations()}
    since = [
        (f"{app}.{name}", loader.graph.nodes[app, name].operations)
        for app, name in dict.fromkeys(plan)
        if (app, name) not in released and app in ours
    ]
    state = loader.project_state([*last_migrations().items()])

    found = {*find_contractions(since, state)}

    assert sorted(found - {*contracts()}) == [], "make it safe, or say in releases.toml why it is"
    assert sorted({*contracts()} - found) == [], "said to be safe, and not there"


def known() -> ProjectState:
    state = ProjectState()
    fields = [
        ("id", models.BigAutoField(primary_key=True)),
        ("title", models.CharField(max_length=20, null=True)),
        ("words", models.CharField(max_length=20, db_default="")),
    ]
    state.add_model(ModelState("library", "Book", fields))
    state.add_model(
        ModelState("records", "Upload", [("id", models.BigAutoField(primary_key=True))])
    )
    return state


TEXT = models.CharField(max_length=20)
RULE = models.CheckConstraint(condition=~models.Q(title=""), name="book_has_title")
UNSAFE = {
    "column without default": migrations.AddField("book", "pages", models.IntegerField()),
    "default of the code alone": migrations.AddField(
        "book", "pages", models.IntegerField(default=0)
    ),
    "column goes": migrations.RemoveField("book", "title"),
    "column is renamed": migrations.RenameField("book", "title", "name"),
    "table goes": migrations.DeleteModel("Book"),
    "null no more": migrations.AlterField("book", "title", TEXT),
    "default no more": migrations.AlterField("book", "words", TEXT),
    "shorter": migrations.AlterField("book", "title", models.CharField(max_length=10, null=True)),
    "rule": migrations.AddConstraint("book", RULE),
    "rows are changed": migrations.RunPython(lambda apps, editor: None),
    "sql": migrations.RunSQL("ALTER TABLE library_book ALTER COLUMN title SET NOT NULL"),
    "trigger": migrations.RunSQL("CREATE FUNCTION f() …; CREATE TRIGGER t BEFORE INSERT ON book"),
    "hidden": migrations.SeparateDatabaseAndState([migrations.RemoveField("book", "title")]),
    "holds on": migrations.CreateModel(
        "Note", [("upload", models.ForeignKey("records.Upload", models.CASCADE))]
    ),
}
SAFE = {
    "null": [migrations.AddField("book", "pages", models.IntegerField(null=True))],
    "default": [migrations.AddField("book", "pages", models.IntegerField(db_default=0))],
    "longer": [migrations.AlterField("book", "title", models.CharField(max_length=30, null=True))],
    "index": [migrations.AddIndex("book", models.Index(fields=["title"], name="book_title"))],
    "function": [migrations.RunSQL("\n CREATE FUNCTION f() RETURNS trigger AS …")],
    "state alone": [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField("book", "title")]
        )
    ],
    "of a new table": [
        migrations.CreateModel("Shelf", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("shelf", "width", models.IntegerField()),
        migrations.AddConstraint(
            "shelf", models.CheckConstraint(condition=models.Q(width__gt=0), name="shelf_is_wide")
        ),
    ],
}


@pytest.mark.parametrize("name", UNSAFE)
def test_contraction_is_found(name: str) -> None:
    assert len([*find_contractions([("library.0002", [UNSAFE[name]])], known())]) == 1


@pytest.mark.parametrize("name", SAFE)
def test_expansion_is_none(name: str) -> None:
    assert [*find_contractions([("library.0002", SAFE[name])], known())] == []
