"""The column that PostgreSQL searches: words, filters and stretches of time in one GIN index. SQLite does without."""

from django.db import migrations

FORWARDS = [
    """ALTER TABLE changelog_change ADD COLUMN lookup tsvector GENERATED ALWAYS AS (
        to_tsvector('english'::regconfig, words) || array_to_tsvector(array_remove(string_to_array(terms, ' '), ''))
    ) STORED""",
    "CREATE INDEX change_lookup ON changelog_change USING gin (lookup) WHERE is_public",
]
BACKWARDS = ["DROP INDEX change_lookup", "ALTER TABLE changelog_change DROP COLUMN lookup"]


def _run(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("changelog", "0001_changes_sources_questions_digests")]
    operations = [migrations.RunPython(_run(FORWARDS), _run(BACKWARDS))]
