"""Faults that commands, tables and configurations of other mail systems have had: each test is the trigger of one."""
import os
import subprocess

import pytest

from postern import BIN, ROOT_USER, SLOW, owner, wait_for
from test_postconf import place, postconf, shown  # noqa: F401
from test_tables import tables  # noqa: F401


def run(instance, *argv, **keywords):
    return subprocess.run([os.path.join(BIN, argv[0]), *argv[1:]], env=dict(os.environ, MAIL_CONFIG=instance.config, **keywords.pop("env", {})), timeout=30 * SLOW, **keywords)


# ---- output that goes nowhere

@pytest.fixture
def full_queue(mta):
    instance = mta({"defer_transports": "smtp"}).start()
    queue_id = instance.send(recipients=["u@far.example"], body="Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 3000)
    wait_for(lambda: queue_id in instance.queued("deferred"))
    return instance, queue_id


def test_output_that_cannot_be_written(full_queue):
    """A full disk, and a reader that has gone: an error or a quiet end, never success, a crash or a loop."""
    instance, queue_id = full_queue
    with open(os.path.join(instance.config, "map"), "w") as f:
        f.writelines("key%d value%d\n" % (i, i) for i in range(20000))
    run(instance, "postmap", "lmdb:%s/map" % instance.config, check=True)
    for argv in (["mailq"], ["postqueue", "-j"], ["postcat", "-q", queue_id], ["postmap", "-s", "lmdb:%s/map" % instance.config], ["postconf"], ["postconf", "-d"]):
        with open("/dev/full", "w") as full:
            done = run(instance, *argv, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode not in (0, -11, -6), argv
        read, write = os.pipe()
        os.close(read)
        done = run(instance, *argv, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert done.returncode not in (0, -11, -6), argv


@pytest.mark.parametrize("argv", [["postconf", "-v", "-v", "-v", "myhostname"], ["postqueue", "-v", "-v", "-p"], ["postmap", "-v", "-q", "x", "inline:{a=b}"], ["postsuper", "-v", "-v"],
                                  ["postlog", "-v", "text"]])
def test_a_log_that_cannot_be_written(mta, argv):
    """Verbose, with standard error closed or full: the work is done as without, and nothing is logged about the log."""
    instance = mta().start()
    expected = run(instance, *argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open("/dev/full", "w") as full:
        assert run(instance, *argv, stdout=subprocess.PIPE, stderr=full).returncode == expected.returncode
    read, write = os.pipe()
    os.close(read)
    assert run(instance, *argv, stdout=subprocess.PIPE, stderr=write).returncode == expected.returncode
    os.close(write)
    assert len(instance.log()) < 100000


def test_listing_while_the_system_is_down(mta):
    """The listing says what is wrong and ends with the status for "try again"."""
    instance = mta()
    done = run(instance, "mailq", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ROOT_USER:
        assert done.returncode in (0, 69, 75)
    assert done.returncode >= 0 and (done.returncode == 0 or b"mail system is down" in done.stdout or b"fatal" in done.stdout)


@pytest.mark.skipif(not ROOT_USER, reason="becomes another user")
def test_nothing_is_read_from_the_current_directory(mta, tmp_path):
    """Files and variables that libraries look for, planted by another user."""
    instance = mta().start()
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("DB_CONFIG", "openssl.cnf", ".my.cnf", "krb5.conf", "main.cf", "master.cf"):
        (trap / name).write_text("[default\nset_data_dir /nonexistent\ngarbage = = =\n")
    environment = {"OPENSSL_CONF": str(trap / "openssl.cnf"), "KRB5_CONFIG": str(trap / "krb5.conf"), "HOME": str(trap)}
    for argv in (["postmap", "-q", "a", "inline:{a=b}"], ["postconf", "myhostname"], ["postqueue", "-p"], ["sendmail", owner() + "@test.example"]):
        done = run(instance, *argv, cwd=trap, env=environment, input=b"Subject: x\n\ny\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0 and not done.stderr, (argv, done)
    assert not set(os.listdir(trap)) - {"DB_CONFIG", "openssl.cnf", ".my.cnf", "krb5.conf", "main.cf", "master.cf"}


# ---- tables

@pytest.mark.parametrize("spec", ["inline:{a=b", "inline:{", "inline:{=}", "inline:{{a}}", "inline:{ { a = b } c }", "static:{", "regexp:{", "regexp:{ {/x", "cidr:{ {x y} ", "unionmap:{", "pipemap:{inline:",
                                  "unionmap:{nosuch:x}", "pipemap:{}", "inline:", "nosuch:x", "lmdb:", "pcre:{{/(/ x}}"])
def test_malformed_tables_fail_what_needs_them_only(mta, tables, spec):
    """A table in braces that are not closed or hold nonsense: an error for the command, a temporary refusal for the client, no crash."""
    done = tables("postmap", "-q", "a", spec)
    assert done.returncode == 1 and done.stdout, done
    instance = mta({"smtpd_recipient_restrictions": "check_recipient_access %s, permit" % spec.replace(" ", " ")}).start()
    with instance.client() as c:
        c.expect(250, "HELO c")
        c.expect(250, "MAIL FROM:<>")
        assert c.command("RCPT TO:<user@test.example>")[:3] in ("451", "250" if "cidr" in spec or "regexp" in spec or "pcre" in spec else "451")
        c.expect(221, "QUIT")
    assert "signal" not in instance.log()


def test_in_memory_tables_with_one_entry_and_none(tables):
    """Walking a table that has one entry."""
    assert tables("postmap", "-s", "inline:{a=b}").stdout == "a\tb\n"
    assert tables("postmap", "-q", "a", "inline:{a=b}").stdout == "b\n"
    assert tables("postmap", "-q", "b", "inline:{a=b}").returncode == 1


@pytest.mark.parametrize("kind", ["lmdb", "hash", "btree"])
def test_incremental_changes(tables, kind):
    """-i adds to a table that has entries; with -q, -d or -s it is refused before anything is opened."""
    tables("postmap", kind + ":map", files={"map": "a v1\n"})
    done = tables("postmap", "-i", kind + ":map", input="b v2\n")
    assert done.returncode == 0, done
    assert [tables("postmap", "-q", key, kind + ":map").stdout for key in "ab"] == ["v1\n", "v2\n"]
    for other in (["-q", "a"], ["-d", "a"], ["-s"]):
        assert tables("postmap", "-i", *other, kind + ":map", input="").returncode == 1
    assert tables("postmap", "-q", "a", kind + ":map").stdout == "v1\n"


def test_upper_case_reaches_pattern_tables(tables):
    """A pattern with capitals and case folding off sees the key as it is; fixed strings are folded."""
    tables("postmap", "lmdb:map", files={"map": "lower@x.example found\n", "re": "/^Upper@/ found\n", "noti": "/^UPPER$/ found\n"})
    for switch in ("yes", "no"):
        with open(tables.directory / "main.cf", "a") as f:
            f.write("smtputf8_enable = %s\n" % switch)
        assert tables("postmap", "-q", "LOWER@X.example", "lmdb:map").stdout == "found\n"
        assert tables("postmap", "-q", "Upper@x", "regexp:re").stdout == tables("postmap", "-q", "Upper@x", "pcre:re").stdout == "found\n"


def test_a_failing_member_fails_the_combination(mta):
    """unionmap and pipemap with a second table that is down: a temporary refusal, not half a result."""
    for spec in ("unionmap:{inline:{{user@test.example=OK}}, fail:x}", "pipemap:{inline:{{user@test.example=y}}, fail:x}", "unionmap:{fail:x, inline:{{user@test.example=OK}}}"):
        instance = mta({"smtpd_recipient_restrictions": "check_recipient_access " + spec}).start()
        with instance.client() as c:
            c.expect(250, "HELO c")
            c.expect(250, "MAIL FROM:<>")
            c.expect(451, "RCPT TO:<user@test.example>")


def test_failing_alias_table_defers_mail(mta):
    """No alias table, no delivery: the mail is refused for now or waits, and is not sent to the unexpanded address."""
    instance = mta({"virtual_alias_maps": "unionmap:{inline:{{user@test.example=other@test.example}}, fail:x}", "transport_maps": "inline:{ {test.example=discard:lost} }"}).start()
    with instance.client() as c:
        c.expect(250, "HELO c")
        c.expect(250, "MAIL FROM:<>")
        reply = c.command("RCPT TO:<user@test.example>")
        if reply.startswith("250"):
            c.expect(354, "DATA")
            reply = c.command("Subject: x\r\n\r\ny\r\n.")
    assert reply.startswith("4") and "status=sent" not in instance.log()


# ---- configuration

def test_new_settings_stand_in_the_order_given(place):
    """The same command on copies of a file: the same result each time."""
    results = set()
    for _ in range(5):
        (place / "main.cf").write_text("myorigin = x")
        postconf(place, "-e", "zz=1", "aa=2", "mm=3", "relayhost=y")
        results.add((place / "main.cf").read_text())
    assert results == {"myorigin = x\nzz = 1\naa = 2\nmm = 3\nrelayhost = y\n"}


def test_order_of_lines_does_not_matter(place):
    """A default that depends on another parameter, which is set after it is used, or for one service only."""
    for text in ("default_database_type = texthash\nvirtual_alias_maps = $alias_maps\n", "virtual_alias_maps = $alias_maps\ndefault_database_type = texthash\n"):
        (place / "main.cf").write_text(text)
        values = shown(place, "-xh", "alias_maps", "virtual_alias_maps").splitlines()
        assert values[0] == values[1] and values[0].startswith("texthash:")


def test_references_to_values_expanded_at_run_time(place):
    """A footer that holds names of the session, referred to by another parameter."""
    (place / "main.cf").write_text("smtpd_reject_footer = \\c; see http://x.example/?ip=$client_address\nother = ${smtpd_reject_footer}\nsmtpd_banner = $other\n")
    done = postconf(place, "-x", "smtpd_reject_footer")
    assert "x.example/?ip=" in done.stdout


def test_no_two_names_of_a_default_list_run_together(place):
    """Lists of names in defaults: what the environment is made of, restrictions, headers, tables for proxymap."""
    names = shown(place, "-dh", "import_environment").split()
    assert {"MAIL_CONFIG", "MAIL_DEBUG", "MAIL_LOGTAG", "TZ", "XAUTHORITY", "DISPLAY"} <= set(names)
    assert all(n.isupper() or "=" in n or n == n.upper() for n in names)
    known = set(shown(place, "-dH").split())
    for parameter in ("proxy_read_maps", "proxy_write_maps", "proxy_interfaces"):
        for name in shown(place, "-dh", parameter).split():
            assert name.lstrip("$") in known, name
