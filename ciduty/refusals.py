"""What the database itself refuses, by triggers: a slip in the code, a shell and an admin page meet the same no.

Which tables, and why, stands where each refusal is made: `ciduty/record/guard.py`, `downtimes/frozen.py`.
"""


class Refusal:
    """The triggers of one table, as statements for each kind of database; `lift` undoes `impose`, and may run first."""

    def __init__(self, impose: dict[str, list[str]], lift: dict[str, list[str]]):
        self._impose, self._lift = impose, lift
        known.append(self)

    def set_on(self, connection) -> None:
        """Let this database refuse from now on; to do it twice does no harm."""
        self.lift_from(connection)
        _run(connection, self._impose)

    def lift_from(self, connection) -> None:
        """Take the refusal away: for emptying the tables of tests and benchmarks, and for undoing the migration."""
        _run(connection, self._lift)


#: All refusals there are, for whoever empties a database on purpose.
known: list[Refusal] = []


def _run(connection, statements: dict[str, list[str]]) -> None:
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]:
            cursor.execute(statement)
