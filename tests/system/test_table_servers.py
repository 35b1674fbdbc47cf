"""Tables that ask a database or a server: hits, misses, special characters in keys, servers that die, hang and come back."""
import concurrent.futures
import os
import sqlite3
import shutil
import signal
import subprocess
import time
import tty

import pytest

from postern import BIN, SLOW, Dns, free_port, wait_for
from table_servers import Answering, MariaDB, Memcached, ODD_KEYS, Postgres, ROWS, SQL, Slapd, Tables, need, socketmap_server, tcp_server


@pytest.fixture
def tables(tmp_path):
    """A directory with table settings; ask(key, spec) is a lookup, its value, None or the complaint."""
    return Tables(tmp_path)


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
    spec = sqlite.source("sqlite", dbpath=path, query="SELECT v, 'not this' FROM map WHERE k = '%s' ORDER BY v", result_filter="<%s>")
    assert sqlite.ask("many@one.example", spec) == "a@x,b@x"
    padded = sqlite.source("sqlite", dbpath=path, query="SELECT x'6100' UNION ALL SELECT x'620063' UNION ALL SELECT x'00'")
    assert sqlite.ask("x", padded).splitlines()[-1] == "a,b"
    with open(spec.partition(":")[2], "a") as f:
        f.write("query = SELECT 'the last one'\n")
    assert sqlite.ask("x", spec).splitlines() == ["postmap: warning: %s: line 3: overriding earlier entry: query" % spec, "the last one"]


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
    assert "dbpath is not set" in sqlite.ask("a", sqlite.source("sqlite", dbpath="", query="SELECT 'x'"))
    assert "query is not set" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x"))
    assert "query is not set" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x", query=""))
    assert "result_format is empty" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x", query=SQL, result_format=""))
    assert "unknown form %x" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x", query="%x"))
    assert "expansion_limit = many" in sqlite.ask("a", sqlite.source("sqlite", dbpath="x", query=SQL, expansion_limit="many"))
    assert "No such file or directory" in sqlite.ask("a", "sqlite:/nonexistent/t.cf")


# ---- servers of our own, for tcp, socketmap and what memcached never says

def test_tcp(tables):
    answers = {"a": b"200 one\n", "a%20b%25": b"200 with%20blank%0a%C3%BC\n", "Upper@one.example": b"200 as it is\n", "no": b"500 not here\n",
               "gr%c3%bcn": b"200 gruen\n", "later": b"400 come%20back\n", "bad": b"300 what\n", "half": b"200 x%4", "hex": b"200 %zz\n",
               "long": b"200 " + b"x" * 5000 + b"\n", "short": b"200\n", "empty": b"200 \n", "tab": b"200\tone\n", "other": b"550 no\n",
               "nul": b"200 one%00two\n"}
    questions = []
    with tcp_server(answers, questions) as server:
        spec = "tcp:127.0.0.1:%d" % server.port
        assert tables.ask("a", spec) == "one"
        assert tables.ask("a b%", spec) == "with blank\n\u00fc"
        assert tables.ask("gr\u00fcn", spec) == "gruen"
        assert tables.ask("Upper@one.example", spec) == "as it is"
        assert tables.ask("tab", spec) == tables.ask("nul", spec) == "one"
        assert tables.ask("no", spec) is tables.ask("other", spec) is None
        assert tables.ask("later", spec).endswith("query error: the server says: come back")
        for key in ("bad", "hex", "long", "short"):
            assert "query error: bad answer of the server" in tables.ask(key, spec)
        assert tables.ask("none", spec).endswith("query error: the server closed the connection")
        assert tables.ask("x" * 10001, spec) is None
        assert not any(len(q) > 10000 for q in questions)
        before = server.connections
        assert tables.ask_all(["a", "no", "a"], spec) == {"a": "one"}
        assert server.connections == before + 1
    assert tables.ask("a", spec).endswith("Connection refused")
    assert "query error" in tables.ask("a", "tcp:nonexistent.invalid:1")


BAD_NETSTRINGS = {"huge": b"999999999:OK x", "zeros": b"0004:OK x,", "minus": b"-4:OK x,", "wrap": b"1" * 30 + b":OK x,", "colon": b"4OK x,",
                  "comma": b"4:OK x;", "half": b"40:OK x", "over": b"100001:OK " + b"x" * 99998 + b",", "nothing": b""}


def test_socketmap(tables):
    answers = {"a": "OK one", "A b": "OK as it is", "no": "NOTFOUND ", "bare": "NOTFOUND", "temp": "TEMP come back", "perm": "PERM ", "late": "TIMEOUT x",
               "ok": "OK", "word": "", "lower": "ok x", "long": "OK " + "x" * 99997, "empty": "OK "}
    questions = []
    with socketmap_server(dict(answers, **BAD_NETSTRINGS), questions) as server:
        spec = "socketmap:inet:127.0.0.1:%d:my.map" % server.port
        assert tables.ask("a", spec) == "one"
        assert tables.ask("A b", spec) == "as it is"
        assert tables.ask("long", spec) == "x" * 99997
        for key in ("no", "bare", "x" * 10001):
            assert tables.ask(key, spec) is None
        assert tables.ask("temp", spec).endswith("query error: the server says: TEMP come back")
        for key in ("perm", "late", "ok", "word", "lower", *BAD_NETSTRINGS):
            assert "query error: " in tables.ask(key, spec), key
        assert questions[0] == "my.map a" and not any(len(q) > 10000 for q in questions)
        assert tables.ask_all(["a", "no", "A b"], spec) == {"a": "one", "A b": "as it is"}
    assert "is wanted" in tables.ask("a", "socketmap:127.0.0.1:1:x")

    def half(handler):
        handler.wfile.write(b"4OK")
        handler.rfile.read()
    with Answering(half) as server:
        assert "no netstring" in tables.ask("a", "socketmap:inet:127.0.0.1:%d:x" % server.port)
    assert tables.ask("a", "socketmap:unix:%s:x" % tables.path("none")).endswith("No such file or directory")


def test_environ(tables, monkeypatch):
    monkeypatch.setenv("POSTERN_TEST_NAME", "a value")
    assert tables.postmap("-fq", "POSTERN_TEST_NAME", "environ:x").stdout == "a value\n"
    assert tables.ask("nothing_of_this_name", "environ:x") is None


# ---- memcache

@pytest.fixture
def memcached():
    server = Memcached()
    yield server
    server.stop()


def test_memcache(tables, memcached):
    memcached.put("m:a@one.example", "one two")
    memcached.put("m:gr\u00fcn", "\u00fcber")
    memcached.put("m:big", "x" * 2000)
    server = "inet:127.0.0.1:%d" % memcached.port
    spec = tables.source("memcache", memcache=server, key_format="m:%s", data_size_limit="1999", max_try="1")
    assert tables.ask("a@one.example", spec) == "one two"
    assert tables.ask("gr\u00fcn", spec) == "\u00fcber"
    assert "at most data_size_limit" in tables.ask("big", spec)
    for key in ("none", "a b", "x" * 300, "a\rset m:x 0 0 1\rz", "a\x7f"):
        assert tables.ask(key, spec) is None
    assert memcached.say("get m:x\r\n") == "END\r\n"
    spec = tables.source("memcache", memcache=server, key_format="m:%u@%d", domain="two.example")
    assert tables.ask("a@one.example", spec) is None
    memcached.stop()
    assert tables.ask("a@two.example", spec).endswith("Connection refused")


def test_memcache_before_another_table(tables, memcached):
    spec = tables.source("memcache", memcache="inet:127.0.0.1:%d" % memcached.port, backup="inline:{{a=b c}}", key_format="k:%s", ttl="60")
    assert tables.ask("a", spec) == "b c"
    assert memcached.say("get k:a\r\n") == "VALUE k:a 0 3\r\nb c\r\nEND\r\n"
    memcached.put("k:a", "from the cache")
    assert tables.ask("a", spec) == "from the cache"
    assert tables.ask("x", spec) is None
    memcached.stop()
    assert tables.ask("a", spec) == "b c"


def test_deletion_from_memcache(tables, memcached):
    tables.write("behind", "a one\n")
    tables.postmap("lmdb:%s" % tables.path("behind"))
    spec = tables.source("memcache", memcache="inet:127.0.0.1:%d" % memcached.port, backup="lmdb:%s" % tables.path("behind"), key_format="k:%s")
    assert tables.ask("a", spec) == "one"
    assert tables.postmap("-d", "a", spec).returncode == 0
    assert tables.ask("a", spec) is None and memcached.say("get k:a\r\n") == "END\r\n"
    assert tables.postmap("-d", "a", spec).returncode == 1
    with Answering(lambda handler: handler.rfile.readline() and handler.wfile.write(b"WHAT\r\n")) as server:
        spec = tables.source("memcache", memcache="inet:127.0.0.1:%d" % server.port, max_try="1")
        done = tables.postmap("-d", "a", spec)
        assert done.returncode == 1 and "neither DELETED nor NOT_FOUND" in done.stdout


def test_memcache_tries_again(tables):
    def first_fails(handler):
        line = handler.rfile.readline()
        if handler.server.connections > 1:
            handler.wfile.write(b"VALUE %s 0 1\r\nx\r\nEND\r\n" % line.split()[1])
    with Answering(first_fails) as server:
        spec = tables.source("memcache", memcache="inet:127.0.0.1:%d" % server.port)
        assert tables.ask("k", spec) == "x"
        assert server.connections == 2
    with Answering(lambda handler: handler.rfile.read()) as server:
        spec = tables.source("memcache", memcache="inet:127.0.0.1:%d" % server.port, timeout="1", max_try="1")
        start = time.monotonic()
        assert tables.ask("k", spec).endswith("the server does not answer in time")
        assert time.monotonic() - start > 0.9


# ---- databases

@pytest.fixture(scope="module")
def slapd():
    server = Slapd()
    yield server
    server.end()


@pytest.fixture(scope="module", params=[Postgres, MariaDB], ids=["pgsql", "mysql"])
def database(request):
    server = request.param()
    try:
        server.fill()
        yield server
    finally:
        server.end()


def test_database(tables, database):
    database_spec = tables.source(database.kind, **database.settings)
    tables.check_rows(database_spec)
    limited = tables.source(database.kind, "limited.cf", **dict(database.settings, expansion_limit=1, domain="one.example", result_format="<%s> %U"))
    assert tables.ask("alice@one.example", limited) == "<alice@home.example> alice"
    assert "more than expansion_limit" in tables.ask("many@one.example", limited)
    assert tables.ask("plain", limited) is None


def test_database_columns(tables, database):
    """Every column of every row is a value; what is empty does not count, and is told of unless it is NULL."""
    def asked(query, **changes):
        return tables.ask("plain", tables.source(database.kind, **dict(database.settings, query=query, **changes)))
    assert asked("SELECT v, 'w' FROM map WHERE k = 'many@one.example' ORDER BY v") == "a@x,w,b@x,w"
    assert "more than expansion_limit = 3" in asked("SELECT v, 'w' FROM map WHERE k = 'many@one.example'", expansion_limit=3)
    assert asked("SELECT NULL, 'w', NULL") == "w"
    assert asked("SELECT NULL") is None
    assert asked("SELECT '', 'w'", result_format="<%s>").splitlines() == [
        'postmap: warning: table "%s:%s": empty lookup result for: "plain" -- ignored' % (database.kind, tables.path("t.cf")), "<w>"]
    assert asked("SELECT 'w'", result_filter="<%s>") == "w"


def test_database_socket_and_old_settings(tables, database):
    over_socket = tables.source(database.kind, **dict(database.settings, hosts="unix:" + database.socket))
    assert tables.ask("plain", over_socket) == "plain-value"
    with open(tables.path("main.cf"), "a") as f:
        for name, value in dict(database.settings, select_field="v", table="map", where_field="k").items():
            if name != "query":
                f.write("old_%s = %s\n" % (name, str(value).replace("$", "$$")))
    assert tables.ask("it's", database.kind + ":old") == "value of it's"


def test_database_mistakes(tables, database):
    def asked(**changes):
        return tables.ask("plain", tables.source(database.kind, **dict(database.settings, **changes)))
    assert "nomap" in asked(query="SELECT v FROM nomap")
    assert "query error" in asked(password="wrong")
    assert "query error" in asked(query="SELECT v FROM map; SELECT v FROM map")
    changing = "UPDATE map SET v = v WHERE k = 'nobody'"
    if database.kind == "mysql":
        assert "the query returns no result set" in asked(query=changing)
        assert asked(query=changing, require_result_set="no") is None
    else:
        assert asked(query=changing) is None
    assert "a number from" in asked(timeout="soon")


def test_database_procedure(tables, database):
    if database.kind == "mysql":
        database.sql("CREATE PROCEDURE find(IN name VARCHAR(100)) SELECT v FROM map WHERE k = name ORDER BY v;")
        spec = tables.source("mysql", **dict(database.settings, query="CALL find('%s')"))
    else:
        database.sql("CREATE FUNCTION find(TEXT) RETURNS SETOF VARCHAR LANGUAGE SQL AS 'SELECT v FROM map WHERE k = $1 ORDER BY v';")
        spec = tables.source("pgsql", **{k: v for k, v in dict(database.settings, select_function="find").items() if k != "query"})
    assert tables.ask("many@one.example", spec) == "a@x,b@x"
    assert tables.ask_all(["it's", "plain", "none"], spec) == {"it's": "value of it's", "plain": "plain-value"}


def test_database_other_host(tables, database):
    hosts = "127.0.0.1:%d inet:127.0.0.1:%d nonexistent.invalid" % (free_port(), database.port)
    dns = Dns({})  # MariaDB's library asks again and again where there is no DNS server
    try:
        for _ in range(4):
            assert tables.ask("plain", tables.source(database.kind, **dict(database.settings, hosts=hosts))) == "plain-value"
    finally:
        dns.close()
    assert "query error: host " in tables.ask("plain", tables.source(database.kind, **dict(database.settings, hosts="127.0.0.1:%d" % free_port())))


def test_database_intervals(tables, database):
    assert "idle_interval = 0" in tables.ask("plain", tables.source(database.kind, **dict(database.settings, idle_interval=0)))
    spec = tables.source(database.kind, **dict(database.settings, idle_interval=1, retry_interval=1,
                                               hosts="127.0.0.1:%d 127.0.0.1:%d" % (database.port, free_port())))
    for _ in range(3):
        assert tables.ask("plain", spec) == "plain-value"


def test_database_over_tls(tables, database):
    """The server's certificate is checked where that is asked for."""
    question = {"pgsql": "SELECT CASE WHEN ssl THEN 'TLS' ELSE 'plain' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                "mysql": "SELECT IF(variable_value = '', 'plain', 'TLS') FROM information_schema.session_status WHERE variable_name = 'ssl_cipher'"}
    settings = dict(database.settings, query=question[database.kind].replace("%", "%%"))
    if database.kind == "pgsql":
        def spec(mode, authority):
            hosts = "postgresql://127.0.0.1:%d/postgres?sslmode=%s&sslrootcert=%s" % (database.port, mode, authority)
            return tables.source("pgsql", mode + os.path.basename(authority), **dict(settings, hosts=hosts))
        encrypted, strict = spec("require", "/nonexistent"), spec("verify-full", database.path("cert.pem"))
        wrong = spec("verify-full", database.path("other.pem"))
    else:
        def spec(**changes):
            return tables.source("mysql", "tls%d.cf" % len(changes), **dict(settings, **changes))
        encrypted = spec(tls_CAfile=database.path("cert.pem"))
        strict = spec(tls_CAfile=database.path("cert.pem"), tls_verify_cert="yes")
        wrong = spec(tls_CAfile=database.path("other.pem"), tls_verify_cert="yes", tls_ciphers="")
    for path in (encrypted, strict):
        assert tables.ask("plain", path) == "TLS"
    assert "query error" in tables.ask("plain", wrong)


def test_password_of_an_address_is_not_shown(tables):
    for hosts in ("postgresql://u:secret@127.0.0.1:%d/d?x=secret", "postgres://127.0.0.1:%d/d?password=secret"):
        answer = tables.ask("plain", tables.source("pgsql", hosts=hosts % free_port(), query="SELECT 1"))
        assert "query error" in answer and "u:secret" not in answer and "password=secret" not in answer


def test_database_comes_back(tables, database):
    """One host, whose connection is gone between two lookups: the second connects again at once."""
    spec = tables.source(database.kind, **database.settings)
    terminal, slave = os.openpty()  # answers come line by line
    tty.setraw(slave)
    asking = subprocess.Popen([os.path.join(BIN, "postmap"), "-c", tables.directory, "-q", "-", spec], stdin=subprocess.PIPE, stdout=slave, stderr=slave)
    os.close(slave)
    answers = os.fdopen(terminal, "rb", 0)

    def ask(key):
        asking.stdin.write(key.encode() + b"\n")
        asking.stdin.flush()
        return answers.readline().decode().strip()
    for restart in (False, True):
        assert ask("plain") == "plain\tplain-value"
        wait_for(lambda: database.clients() == 1, what="no connection but ours")  # those of other tests may be about to end
        if restart:
            database.stop()
            database.start()
        else:
            database.disconnect_clients()
        wait_for(lambda: database.clients() == 0, 10, "no connection")
    assert ask("it's") == "it's\tvalue of it's"
    asking.stdin.close()
    assert asking.wait(60 * SLOW) == 0
    answers.close()


def test_database_does_not_answer(tables, database):
    spec = tables.source(database.kind, **dict(database.settings, timeout=1))
    database.signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        assert "query error" in tables.ask("plain", spec)
        assert time.monotonic() - start > 0.9
    finally:
        database.signal(signal.SIGCONT)
    assert tables.ask("plain", tables.source(database.kind, **database.settings)) == "plain-value"


# ---- ldap

def ldap(tables, slapd, name="ldap.cf", **changes):
    return tables.source("ldap", name, **dict(slapd.settings, **changes))


def test_ldap(tables, slapd):
    assert tables.ask("alice@one.example", ldap(tables, slapd)) == "alice@home.example"
    assert sorted(tables.ask("many@one.example", ldap(tables, slapd)).split(",")) == ["a@x", "b@x"]
    for key in ("empty@one.example", "nobody@one.example", "*", "pl*"):
        assert tables.ask(key, ldap(tables, slapd)) is None
    assert tables.ask_all(ODD_KEYS + ("none",), ldap(tables, slapd)) == {key: "value of " + key for key in ODD_KEYS}
    with open(tables.path("main.cf"), "a") as f:
        f.write("".join("old_%s = %s\n" % pair for pair in slapd.settings.items()))
    assert tables.ask("plain", "ldap:old") == "plain-value"


def test_ldap_limits_and_formats(tables, slapd):
    assert "expansion_limit" in tables.ask("many@one.example", ldap(tables, slapd, expansion_limit=1))
    everybody = dict(query_filter="(|(uid=%s)(uid=plain))", size_limit=1)
    assert "Size limit" in tables.ask("alice@one.example", ldap(tables, slapd, **everybody))
    assert tables.ask("alice@one.example", ldap(tables, slapd, result_format="smtp:[%d] %U")) == "smtp:[home.example] alice"
    assert tables.ask("alice@one.example", ldap(tables, slapd, result_filter="<%s>")) == "<alice@home.example>"
    assert tables.ask("alice@one.example", ldap(tables, slapd, domain="two.example")) is None
    named = dict(search_base="cn=%s,ou=people," + slapd.base, query_filter="sn=x", scope="base")
    assert tables.ask("o,k", ldap(tables, slapd, **named)) == "dn@x"
    assert tables.ask("none", ldap(tables, slapd, **named)) is None
    assert "No such object" in tables.ask("none", ldap(tables, slapd, search_base="ou=nothing," + slapd.base))


def test_ldap_entries_in_entries(tables, slapd):
    groups = dict(special_result_attribute="seeAlso, labeledURI")
    assert sorted(tables.ask("all", ldap(tables, slapd, **groups)).split(",")) == ["a@x", "alice@home.example", "b@x", "group@x", "value of it's"]
    assert tables.ask("plain", ldap(tables, slapd, result_attribute="mail, uid, sn")) == "x,plain,plain-value"
    leaves = dict(groups, result_attribute="", leaf_result_attribute="mail")
    assert sorted(tables.ask("all", ldap(tables, slapd, **leaves)).split(",")) == ["a@x", "alice@home.example", "b@x", "value of it's"]
    assert tables.ask("held", ldap(tables, slapd, **dict(leaves, terminal_result_attribute="description"))) == "held@x"
    assert tables.ask("held", ldap(tables, slapd, **groups)) == "m@x,alice@home.example"
    assert "more than recursion_limit = 5" in tables.ask("round", ldap(tables, slapd, **dict(groups, recursion_limit=5)))
    assert "more than recursion_limit = 3000" in tables.ask("round", ldap(tables, slapd, **dict(groups, recursion_limit=3000)))


def test_ldap_binding(tables, slapd):
    admin = "cn=admin," + slapd.base
    assert tables.ask("plain", ldap(tables, slapd, bind_dn=admin, bind_pw="secret")) == "plain-value"
    assert "bind: Invalid credentials" in tables.ask("plain", ldap(tables, slapd, bind_dn=admin, bind_pw="wrong"))
    assert tables.ask("plain", ldap(tables, slapd, bind="no")) == "plain-value"
    assert tables.ask("plain", ldap(tables, slapd, version=2)) == "plain-value"
    local = "ldapi://" + slapd.socket.replace("/", "%2F")
    assert tables.ask("plain", ldap(tables, slapd, server_host=local, bind="sasl", sasl_mechs="EXTERNAL")) == "plain-value"


def test_ldap_over_tls(tables, slapd):
    checked = dict(start_tls="yes", tls_require_cert="yes", tls_ca_cert_file=slapd.path("cert.pem"))
    assert tables.ask("plain", ldap(tables, slapd, start_tls="yes")) == "plain-value"
    assert tables.ask("plain", ldap(tables, slapd, **checked)) == "plain-value"
    assert "STARTTLS" in tables.ask("plain", ldap(tables, slapd, **dict(checked, tls_ca_cert_file=slapd.path("other.pem"))))
    assert "STARTTLS" in tables.ask("plain", ldap(tables, slapd, **dict(checked, server_host="localhost")))


def test_ldap_old_settings(tables, slapd):
    answer = tables.ask("plain", ldap(tables, slapd, cache="yes", cache_size=5)).splitlines()
    assert [line.rsplit(": ", 1)[1] for line in answer[:-1]] == ["ignoring cache", "ignoring cache_size"] and answer[-1] == "plain-value"


def test_ldap_mistakes(tables, slapd):
    assert "search_base is not set" in tables.ask("a", tables.source("ldap", query_filter="x=%s"))
    assert "there is no result attribute" in tables.ask("a", ldap(tables, slapd, result_attribute=""))
    assert "bind = maybe" in tables.ask("a", ldap(tables, slapd, bind="maybe"))
    assert "chase_referrals = 2" in tables.ask("a", ldap(tables, slapd, chase_referrals=2))
    assert "need version = 3" in tables.ask("a", ldap(tables, slapd, start_tls="yes", version=2))
    assert "Bad search filter" in tables.ask("a", ldap(tables, slapd, query_filter="(uid=%s"))


def test_ldap_settings_that_others_take(tables, slapd):
    """What serves with Postfix serves here, with a warning where it is not what was asked for."""
    for settings in (dict(chase_referrals="yes"), dict(chase_referrals="no"), dict(chase_referrals=1), dict(chase_referrals=0), dict(result_format=""),
                     dict(tls_ca_cert_file="/nonexistent"), dict(tls_cert="/nonexistent", tls_key="/nonexistent", tls_cipher_suite="NONE")):
        assert tables.ask("plain", ldap(tables, slapd, **settings)) == "plain-value", settings
    for settings, warning in ((dict(scope="subtree"), "scope = subtree: not one of its words; using sub"),
                              (dict(dereference=4), "dereference = 4: not a number from 0 to 3; using 0"),
                              (dict(version=4), "version = 4: not known; using 3"),
                              (dict(query_filter="(uid=plain)"), "query_filter = (uid=plain): the same search for every key")):
        spec = ldap(tables, slapd, **settings)
        assert tables.ask("plain", spec).splitlines() == ["postmap: warning: %s: %s" % (spec, warning), "plain-value"]


def test_ldap_other_hosts_and_time_limit(tables, slapd):
    hosts = "ldap://127.0.0.1:%d 127.0.0.1:%d" % (free_port(), slapd.port)
    assert tables.ask("plain", ldap(tables, slapd, server_host=hosts)) == "plain-value"
    assert "Can't contact LDAP server" in tables.ask("plain", ldap(tables, slapd, server_host="127.0.0.1:%d" % free_port()))
    slapd.signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        assert "query error" in tables.ask("plain", ldap(tables, slapd, timeout=1))
        assert time.monotonic() - start > 0.9
    finally:
        slapd.signal(signal.SIGCONT)
    slapd.stop()
    assert "query error" in tables.ask("plain", ldap(tables, slapd))
    slapd.start()
    assert tables.ask("plain", ldap(tables, slapd)) == "plain-value"


# ---- in a daemon

@pytest.mark.parametrize("parameter, user", [("mailbox_transport_maps", "nobody"), ("fallback_transport_maps", "nosuchuser")])
def test_server_that_says_the_transport(mta, parameter, user):
    """What only chooses a transport may come from anywhere, as in transport_maps."""
    def talk(handler):
        for line in handler.rfile:
            handler.wfile.write(b"200 discard:\n")
    with Answering(talk) as server:
        mail = mta(main={parameter: "tcp:127.0.0.1:%d" % server.port, "local_recipient_maps": ""}).start()
        mail.send(recipients=[user + "@test.example"])
        mail.wait_log(r"discard\[\d+\]: \w+: to=<%s@test.example>.*status=sent" % user)


def test_ldap_in_a_restriction(mta, slapd, tables):
    """Connections of a daemon's threads that are gone are made again; nobody notices."""
    os.chmod(tables.directory, 0o755)
    spec = ldap(tables, slapd, result_format="REJECT %s")
    mail = mta(main={"smtpd_sender_restrictions": "check_sender_access " + spec, "smtpd_delay_reject": "no"})
    mail.start()

    def refused(number):
        with mail.client() as c:
            c.command("EHLO client.example")
            return [c.command("MAIL FROM:<%s@one.example>" % user)[:3] for user in ("alice", "nobody")]
    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(10) as threads:
            assert list(threads.map(refused, range(20))) == [["554", "250"]] * 20
        slapd.stop()
        slapd.start()
    assert " 451 4." not in mail.log() and "warning" not in mail.log()


def test_sqlite_in_a_restriction(mta, tmp_path):
    os.chmod(tmp_path, 0o755)
    database = sqlite3.connect(tmp_path / "access.db")
    database.execute("CREATE TABLE map (k TEXT, v TEXT)")
    database.execute("INSERT INTO map VALUES ('bad@client.example', 'REJECT no thanks')")
    database.commit()
    database.close()
    (tmp_path / "t.cf").write_text("dbpath = %s\nquery = %s\n" % (tmp_path / "access.db", SQL))
    (tmp_path / "gone.cf").write_text("dbpath = %s\nquery = %s\n" % (tmp_path / "none.db", SQL))
    mail = mta(main={"smtpd_sender_restrictions": "check_sender_access sqlite:%s" % (tmp_path / "t.cf"), "smtpd_delay_reject": "no"},
               services={"smtpd": {}, "gone": {"smtpd_sender_restrictions": "check_sender_access sqlite:%s" % (tmp_path / "gone.cf")}})
    mail.start()

    def senders(name, count):
        replies = []
        with mail.client(name) as c:
            c.command("EHLO client.example")
            for number in range(count):
                replies += [c.command("MAIL FROM:<%s@client.example>" % user)[:3] for user in ("bad", "good")]
                c.command("RSET")
        return replies
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        for replies in threads.map(lambda _: senders("smtpd", 10), range(20)):
            assert replies == ["554", "250"] * 10
    assert senders("gone", 1) == ["451", "451"]
    mail.wait_log(r"none\.db: No such file or directory")
    assert not os.path.exists(tmp_path / "none.db")


def test_module_that_is_not_installed(tables):
    if os.path.exists("/usr/lib/postern/modules/table_sqlite.so"):
        pytest.skip("the module is installed")
    program = shutil.copy(os.path.realpath(os.path.join(BIN, "postmap")), tables.path("postmap"))
    done = subprocess.run([program, "-c", tables.directory, "-q", "a", "sqlite:x"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "unsupported dictionary type: sqlite" in done.stdout and "Debian package postern-sqlite has it" in done.stdout
