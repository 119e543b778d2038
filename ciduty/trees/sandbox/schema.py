"""What the sandbox stores, and the fixed words of tree status. No behaviour."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS trees (
    name TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT NOT NULL, message_of_the_day TEXT NOT NULL,
    category TEXT NOT NULL, touched INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tree TEXT NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, tags TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS logs_tree ON logs (tree, at, id);
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, who TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS change_trees (
    id INTEGER PRIMARY KEY AUTOINCREMENT, change_id INTEGER NOT NULL, tree TEXT NOT NULL, last_state TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS change_trees_change ON change_trees (change_id);
"""

#: The two services that answer as "tree status": the self-hosted one, and the part of Lando that replaced it.
STANDALONE, LANDO = "standalone", "lando"
GENERATIONS = (STANDALONE, LANDO)

OPEN, CLOSED, APPROVAL_REQUIRED = "open", "closed", "approval required"
STATUSES = (OPEN, CLOSED, APPROVAL_REQUIRED)
#: Why a tree is closed: tag -> what people read. Recorded from Lando's form; the standalone service takes any tag.
REASON_CATEGORIES = {
    "backlog": "Job Backlog",
    "checkin_compilation": "Check-in compilation failure",
    "checkin_test": "Check-in test failure",
    "planned": "Planned closure",
    "merges": "Merges",
    "waiting_for_coverage": "Waiting for coverage",
    "infra": "Infrastructure related",
    "other": "Other",
}
#: Lando's groups of trees, in the order of its page.
TREE_CATEGORIES = {
    "development": "Development",
    "release_stabilization": "Release Stabilization",
    "try": "Try",
    "comm_repos": "Comm Repos",
    "other": "Other",
}

LONGEST_STATUS, LONGEST_NAME = 64, 32  # characters; beyond them the standalone service's database gives up: 500
MOST_ID = 2**31 - 1  # PostgreSQL's integer; beyond it the same
SHORT_LOG = 5  # entries of /logs
MEMOIZED_FOR = 300  # seconds for which /trees/{tree} is answered from memory
