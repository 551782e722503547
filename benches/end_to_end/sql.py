"""Runs statements in a DuckDB file and prints the rows of the last one.    sql.py FILE STATEMENT ...

With row groups of the size that Pintail makes: with others DuckDB would write the whole table anew.
"""

import sys

import duckdb

connection = duckdb.connect()
connection.execute(f"ATTACH '{sys.argv[1]}' AS warehouse (TYPE duckdb, ROW_GROUP_SIZE 40960); USE warehouse")
rows = [connection.execute(statement).fetchall() for statement in sys.argv[2:]]
connection.execute("USE memory; DETACH warehouse")
print(rows[-1] if rows else "")
