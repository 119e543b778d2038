"""What the sandbox stores, and the fixed vocabulary of its Bugzilla. No behaviour."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE COLLATE NOCASE, real_name TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS user_groups (
    user_id INTEGER NOT NULL, group_name TEXT NOT NULL, PRIMARY KEY (user_id, group_name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_keys (
    key TEXT PRIMARY KEY, user_id INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS flag_types (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL DEFAULT '',
    request_group TEXT, grant_group TEXT, multiplicable INTEGER NOT NULL, requesteeble INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS products (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, versions TEXT NOT NULL, flag_types TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS components (
    id INTEGER PRIMARY KEY, product TEXT NOT NULL, name TEXT NOT NULL, assignee INTEGER NOT NULL,
    UNIQUE (product, name));
CREATE TABLE IF NOT EXISTS bugs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, product TEXT NOT NULL, component TEXT NOT NULL, version TEXT NOT NULL,
    summary TEXT NOT NULL, status TEXT NOT NULL, resolution TEXT NOT NULL DEFAULT '',
    whiteboard TEXT NOT NULL DEFAULT '',
    severity TEXT NOT NULL DEFAULT 'normal', priority TEXT NOT NULL DEFAULT '--',
    op_sys TEXT NOT NULL DEFAULT 'Unspecified', platform TEXT NOT NULL DEFAULT 'Unspecified',
    url TEXT NOT NULL DEFAULT '', target_milestone TEXT NOT NULL DEFAULT '---',
    creator INTEGER NOT NULL, assigned_to INTEGER NOT NULL, dupe_of INTEGER, deadline TEXT,
    is_confirmed INTEGER NOT NULL DEFAULT 1, is_cc_accessible INTEGER NOT NULL DEFAULT 1,
    is_creator_accessible INTEGER NOT NULL DEFAULT 1,
    keywords TEXT NOT NULL DEFAULT '[]', see_also TEXT NOT NULL DEFAULT '[]',
    creation_time TEXT NOT NULL, last_change_time TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS bugs_changed ON bugs (last_change_time);
CREATE TABLE IF NOT EXISTS cc (
    bug_id INTEGER NOT NULL, user_id INTEGER NOT NULL, PRIMARY KEY (bug_id, user_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bug_groups (
    bug_id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (bug_id, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aliases (alias TEXT PRIMARY KEY, bug_id INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS aliases_bug ON aliases (bug_id);
CREATE TABLE IF NOT EXISTS dependencies (
    bug_id INTEGER NOT NULL, depends_on INTEGER NOT NULL, PRIMARY KEY (bug_id, depends_on)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dependencies_back ON dependencies (depends_on);
CREATE TABLE IF NOT EXISTS flags (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bug_id INTEGER NOT NULL, type_id INTEGER NOT NULL, status TEXT NOT NULL,
    setter INTEGER NOT NULL, requestee INTEGER, creation_date TEXT NOT NULL, modification_date TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS flags_bug ON flags (bug_id);
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bug_id INTEGER NOT NULL, user_id INTEGER NOT NULL, at TEXT NOT NULL,
    text TEXT NOT NULL, is_private INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS comments_bug ON comments (bug_id);
CREATE TABLE IF NOT EXISTS activity (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bug_id INTEGER NOT NULL, user_id INTEGER NOT NULL, at TEXT NOT NULL,
    field TEXT NOT NULL, removed TEXT NOT NULL, added TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS activity_bug ON activity (bug_id);
"""

#: Table -> the column that holds the bug's number: everything that belongs to one bug.
TABLES_OF_A_BUG = {
    "bugs": "id",
    "cc": "bug_id",
    "bug_groups": "bug_id",
    "aliases": "bug_id",
    "dependencies": "bug_id",
    "flags": "bug_id",
    "comments": "bug_id",
    "activity": "bug_id",
}

#: Who may edit every bug, and whoever may see private comments: Bugzilla's parameters of the recorded servers.
EDITORS, INSIDERS = "editbugs", "insiders"

OPEN_STATUSES = ("UNCONFIRMED", "NEW", "ASSIGNED", "REOPENED")
#: The workflow of the recorded servers (field/bug/bug_status): from -> to.
MOVES = {
    "": ("UNCONFIRMED", "NEW", "ASSIGNED"),
    "UNCONFIRMED": ("NEW", "ASSIGNED", "RESOLVED"),
    "NEW": ("ASSIGNED", "RESOLVED"),
    "ASSIGNED": ("NEW", "RESOLVED"),
    "REOPENED": ("NEW", "ASSIGNED", "RESOLVED"),
    "RESOLVED": ("UNCONFIRMED", "NEW", "REOPENED", "VERIFIED"),
    "VERIFIED": ("UNCONFIRMED", "NEW", "REOPENED"),
}
#: Upstream's, and INCOMPLETE, INACTIVE and MOVED, which bugzilla.mozilla.org has besides.
RESOLUTIONS = ("FIXED", "INVALID", "WONTFIX", "DUPLICATE", "WORKSFORME", "INCOMPLETE", "INACTIVE", "MOVED")
SEVERITIES = ("blocker", "critical", "major", "normal", "minor", "trivial", "enhancement")
PRIORITIES = ("P1", "P2", "P3", "P4", "P5", "--")

LONGEST_SUMMARY = 255  # characters, MAX_FREETEXT_LENGTH
LONGEST_COMMENT = 65535  # characters, MAX_COMMENT_LENGTH
