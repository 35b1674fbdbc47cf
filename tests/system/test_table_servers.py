"""Tables that ask a database or a server: hits, misses, special characters in keys, servers that die, hang and come back."""
import os
import sqlite3
import subprocess

import pytest

from postern import BIN, SLOW

ODD_KEYS = ("it's", "back\\slash", "100%", "under_score", "gr\u00fcn", "star*(paren)", 'double"quote', "' or '1'='1", "\\' or 1=1 --",
            "a,b+c=d;e<f>#")
ROWS = [("alice@one.example", "alice@home.example"), ("many@one.example", "a@x"), ("many@one.example", "b@x"), ("plain", "plain-value"),
        ("empty@one.example", "")] + [(key, "value of " + key) for key in ODD_KEYS]


@pytest.fixture
def tables(tmp_path):
    """A directory with table settings; ask(key, spec) is a lookup, its value, None or the complaint."""
    return Tables(tmp_path)


class Tables:
    def __init__(self, directory):
        self.directory = str(directory)
        self.settings = {}
        self.write("main.cf", "myhostname = mail.test.example\ncompatibility_level = 3.6\nmaillog_file = /nonexistent/log\n")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def source(self, kind, name="t.cf", **settings):
        """type:file with these settings."""
        return "%s:%s" % (kind, self.write(name, "".join("%s = %s\n" % pair for pair in settings.items())))

    def postmap(self, *arguments, input=None):
        return subprocess.run([os.path.join(BIN, "postmap"), "-c", self.directory, *arguments], input=input, cwd=self.directory, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * SLOW)

    def ask(self, key, spec):
        done = self.postmap("-q", key, spec)
        if done.returncode == 1 and not done.stdout:
            return None
        return done.stdout.rstrip("\n")

    def ask_all(self, keys, spec):
        """Keys, asked by one process."""
        done = self.postmap("-q", "-", spec, input="".join(key + "\n" for key in keys))
        return dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)

    def check_rows(self, spec):
        """What every SQL database has to answer for ROWS."""
        assert self.ask("alice@one.example", spec) == "alice@home.example"
        assert self.ask("many@one.example", spec) == "a@x,b@x"
        assert self.ask("empty@one.example", spec) is None
        assert self.ask("nobody@one.example", spec) is None
        wanted = {key: "value of " + key for key in ODD_KEYS}
        assert self.ask_all(ODD_KEYS + ("none",), spec) == wanted


SQL = "SELECT v FROM map WHERE k = '%s' ORDER BY v"


# ---- sqlite

@pytest.fixture
def sqlite(tables):
    database = sqlite3.connect(tables.path("map.db"))
    database.execute("CREATE TABLE map (k TEXT, v TEXT)")
    database.executemany("INSERT INTO map VALUES (?, ?)", ROWS)
    database.commit()
    yield tables
    database.close()


def test_sqlite(sqlite):
    sqlite.check_rows(sqlite.source("sqlite", dbpath=sqlite.path("map.db"), query=SQL))


def test_sqlite_formats(sqlite):
    path = sqlite.path("map.db")
    spec = sqlite.source("sqlite", dbpath=path, query="SELECT v FROM map WHERE k = '%u@%d' AND '%1' = 'example' ORDER BY v",
                         result_format="%u %d %U %2", expansion_limit="2", domain="one.example, inline:{other=x}")
    assert sqlite.ask("alice@one.example", spec) == "alice home.example alice one"
    assert sqlite.ask("many@one.example", spec) == "a x many one,b x many one"
    for key in ("alice", "@one.example", "alice@two.example", "alice@"):
        assert sqlite.ask(key, spec) is None
    spec = sqlite.source("sqlite", dbpath=path, query=SQL, expansion_limit="1")
    assert "more than expansion_limit = 1 results for 'many@one.example'" in sqlite.ask("many@one.example", spec)
    spec = sqlite.source("sqlite", dbpath=path, query="SELECT v FROM map WHERE k LIKE '%%%s%%' ORDER BY v")
    assert sqlite.ask("lic", spec) == "alice@home.example"


def test_sqlite_old_settings(sqlite):
    with open(sqlite.path("main.cf"), "a") as f:
        f.write("base = %s\nold_dbpath = $base/map.db\nold_select_field = v\nold_table = map\nold_where_field = k\n"
                "old_additional_conditions = and v <> 'b@x'\n" % sqlite.directory)
    assert sqlite.ask("many@one.example", "sqlite:old") == "a@x"
    assert sqlite.ask("it's", "sqlite:old") == "value of it's"


def test_sqlite_mistakes(sqlite):
    missing = sqlite.source("sqlite", dbpath=sqlite.path("none.db"), query=SQL)
    assert sqlite.ask("a", missing).endswith("query error: open %s: No such file or directory" % sqlite.path("none.db"))
    assert not os.path.exists(sqlite.path("none.db"))
    assert "no such table: nomap" in sqlite.ask("a", sqlite.source("sqlite", dbpath=sqlite.path("map.db"), query="SELECT v FROM nomap"))
    assert "dbpath is not set" in sqlite.ask("a", sqlite.source("sqlite", query=SQL))
    assert "query is not set" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x"))
    assert "unknown form %x" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x", query="%x"))
    assert "expansion_limit = many" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x", query=SQL, expansion_limit="many"))
    assert "No such file or directory" in sqlite.ask("a", "sqlite:/nonexistent/t.cf")
