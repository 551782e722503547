"""What a loaded table must add up to: computed from the server's rows with nothing but `json`, and from what was loaded with
DuckDB, whatever its layout (columns of nested objects flattened or not).

    check.py expect RESOURCE < ROWS        check.py verify RESOURCE FOLDER EXPECTED
"""

import datetime
import json
import math
import sys
from pathlib import Path

FIELDS = {
    "interactions": {
        "numbers": ["start_time", "end_time", "position", "points"],
        "booleans": ["required", "visible"],
        "texts": ["id", "title", "type", "notes", "video_id"],
        "times": ["created_at", "updated_at"],
    },
    "views": {
        "numbers": ["seconds_watched", "percent_complete", "play_count", "score"],
        "booleans": ["completed", "embedded"],
        "texts": ["id", "title", "device", "city", "referrer", "video_id"],
        "times": ["created_at", "updated_at"],
    },
    "responses": {
        "numbers": ["score"],
        "booleans": ["correct"],
        "texts": ["id", "question", "answer"],
        "times": ["answered_at"],
    },
}
VIEWER = ["id", "name", "email"]


def milliseconds(text):
    instant = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (instant - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(milliseconds=1)


def expected(lines, resource):
    sums = {}

    def add(name, value):
        sums[name] = sums.get(name, 0) + value

    def take(row, table):
        add(f"{table} rows", 1)
        fields = FIELDS[table]
        for name in fields["numbers"]:
            if row[name] is not None:
                add(f"{table}.{name} count", 1)
                add(f"{table}.{name} sum", row[name])
        for name in fields["booleans"]:
            add(f"{table}.{name} true", int(row[name]))
        for name in fields["texts"]:
            if row[name] is not None:
                add(f"{table}.{name} count", 1)
                add(f"{table}.{name} length", len(row[name]))
        for name in fields["times"]:
            add(f"{table}.{name} ms", milliseconds(row[name]))

    ids = set()
    for line in lines:
        row = json.loads(line)
        take(row, resource)
        ids.add(row["id"])
        for name in VIEWER:
            add(f"{resource}.viewer.{name} length", len(row["viewer"][name]))
        for response in row.get("responses", ()):
            take(response, "responses")
    return sums | {"ids": len(ids)}


def loaded(folder, resource):
    """The same sums, of the tables in a folder: a DuckDB file, or Parquet files in folders named as the tables."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    database = next(folder.glob("*.duckdb"), None)
    tables = {}
    if database:
        connection.execute(f"ATTACH '{database}' AS loaded (READ_ONLY)")
        named = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'loaded'"
        for schema, name in connection.execute(named).fetchall():
            tables[name] = f'loaded."{schema}"."{name}"'
    else:
        for file in folder.rglob("*.parquet"):
            tables[file.parent.name] = f"read_parquet('{file.parent}/*.parquet')"
    sums = {}
    for table, name in [(resource, resource), ("responses", f"{resource}__responses")]:
        if name not in tables:
            continue
        columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {tables[name]}").fetchall()]
        wanted = {f"{table} rows": "count(*)"}
        fields = FIELDS[table]
        for column in fields["numbers"]:
            wanted[f"{table}.{column} count"] = f"count({column})"
            wanted[f"{table}.{column} sum"] = f"sum({column})"
        for column in fields["booleans"]:
            wanted[f"{table}.{column} true"] = f"count_if({column})"
        for column in fields["texts"]:
            wanted[f"{table}.{column} count"] = f"count({column})"
            wanted[f"{table}.{column} length"] = f"sum(length({column}))"
        for column in fields["times"]:
            wanted[f"{table}.{column} ms"] = f"sum(epoch_ms({column}))"
        if table == resource:
            wanted["ids"] = "count(DISTINCT id)"
            for field in VIEWER:
                column = f"viewer__{field}" if f"viewer__{field}" in columns else f"viewer.{field}"
                wanted[f"{table}.viewer.{field} length"] = f"sum(length({column}))"
        values = connection.execute(f"SELECT {', '.join(wanted.values())} FROM {tables[name]}").fetchone()
        sums |= dict(zip(wanted, values))
    return sums


def differences(wanted, found):
    for name, value in wanted.items():
        other = found.get(name)
        if other is None or not math.isclose(float(other), float(value), rel_tol=1e-9):
            yield f"{name} is {other}, not {value}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["expect", resource]:
            print(json.dumps(expected(sys.stdin, resource)))
        case ["verify", resource, folder, wanted]:
            wrong = list(differences(json.loads(Path(wanted).read_text()), loaded(Path(folder), resource)))
            if wrong:
                sys.exit("\n".join(wrong))
        case _:
            sys.exit(__doc__)
