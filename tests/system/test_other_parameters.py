"""Parameters of reports, content, routes and the system as a whole that no other test is about."""
import os
import re
import subprocess

import pytest

from postern import BIN, ROOT_USER, exercises, group, wait_for
from test_qmgr_retry import OPEN, routes, sink  # noqa: F401
from test_rewriting import relay  # noqa: F401
from test_sendmail import accepted

GONE = {"RCPT": "550 5.1.1 no such user"}


@exercises("bounce_size_limit")
@pytest.mark.parametrize("limit, whole", [("100", False), ("100000", True)])
def test_how_much_comes_back(mta, sink, limit, whole):  # noqa: F811
    far, home = sink(rules=GONE), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), bounce_size_limit=limit)).start()
    m.send(recipients=["u@far.example"], body="Subject: x\r\n\r\n" + "contents\r\n" * 50)
    text = home.wait()[0]["data"]
    assert (b"contents" in text) == whole and (b"Content-Type: text/rfc822-headers\r\n" in text) != whole


@exercises("delay_notice_recipient", "notify_classes")
def test_the_postmaster_is_told_of_delays(mta, sink):  # noqa: F811
    far, home = sink(rules={"RCPT": "450 4.2.0 not now"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, home=home), delay_warning_time="1s", notify_classes="delay", delay_notice_recipient="pm@home.example")).start()
    m.send(sender="s@home.example", recipients=["u@far.example"])
    assert sorted(mail["recipients"][0].split(">")[0] for mail in home.wait(2, 30)) == ["<pm@home.example", "<s@home.example"]


@exercises("disable_verp_bounces")
@pytest.mark.parametrize("disabled, to", [("no", ["<s+u=far.example@home.example", "<s+v=far.example@home.example"]), ("yes", ["<s@home.example"])])
def test_reports_of_verp_mail(mta, sink, disabled, to):  # noqa: F811
    far, home = sink(rules=GONE), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, home=home), disable_verp_bounces=disabled, smtpd_authorized_verp_clients="127.0.0.1")).start()
    with m.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@home.example> XVERP=+=")
        for user in "uv":
            c.expect(250, "RCPT TO:<%s@far.example>" % user)
        qid = c.data("Subject: x\r\n\r\nx\r\n")
    m.wait_log("%s: removed" % qid)
    assert sorted(mail["recipients"][0].split(">")[0] for mail in home.wait(len(to))) == to


@exercises("enable_threaded_bounces", "internal_mail_filter_classes", "header_from_format")
@pytest.mark.parametrize("main, lines", [
    ({}, {b"From: Mail Delivery System <MAILER-DAEMON@test.example>"}),
    ({"enable_threaded_bounces": "yes"}, {b"From: Mail Delivery System <MAILER-DAEMON@test.example>", b"References: <one@client.example>", b"In-Reply-To: <one@client.example>"}),
    ({"header_from_format": "obsolete"}, {b"From: MAILER-DAEMON@test.example (Mail Delivery System)"}),
    ({"internal_mail_filter_classes": "bounce", "header_checks": "pcre:{ {/^From: Mail/ REPLACE From: checked} }"}, {b"From: checked@test.example"}),
    ({"header_checks": "pcre:{ {/^From: Mail/ REPLACE From: checked} }"}, {b"From: Mail Delivery System <MAILER-DAEMON@test.example>"}),
], ids=["plain", "threaded", "obsolete", "filtered", "not-filtered"])
def test_headers_of_reports(mta, sink, main, lines):  # noqa: F811
    far, home = sink(rules=GONE), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), **main)).start()
    m.send(recipients=["u@far.example"], body="Message-Id: <one@client.example>\r\nSubject: x\r\n\r\nx\r\n")
    header = home.wait()[0]["data"].split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    assert {line for line in header if re.match(rb"From:|References:|In-Reply-To:", line)} == lines


@exercises("header_from_format", "full_name_encoding_charset")
@pytest.mark.parametrize("main, name, expected", [
    ({}, "J. D. \"X\"", b'From: "J. D. \\"X\\"" <me@client.example>'),
    ({"header_from_format": "obsolete"}, "J. (D)", b"From: me@client.example (J. \\(D\\))"),
    ({}, "J\u00f6rg", b"From: =?utf-8?Q?J=C3=B6rg?= <me@client.example>"),
    ({"full_name_encoding_charset": "x-ours"}, "J\u00f6rg", b"From: =?x-ours?Q?J=C3=B6rg?= <me@client.example>"),
], ids=["standard", "obsolete", "encoded", "charset"])
def test_full_names(mta, sink, main, name, expected):  # noqa: F811
    far = sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), **main)).start()
    accepted(m, "-F", name, "-f", "me@client.example", "u@far.example")
    header = far.wait()[0]["data"].split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    assert [line for line in header if line.lower().startswith(b"from:")] == [expected]


@exercises("duplicate_filter_limit")
@pytest.mark.parametrize("limit, expected", [("1", "abb"), ("1000", "ab")])
def test_recipients_given_twice(relay, limit, expected):  # noqa: F811
    instance, sink = relay(duplicate_filter_limit=limit)  # noqa: F811
    instance.send(recipients=["a@x.example", "b@x.example", "a@x.example", "b@x.example"])
    assert sorted(r[0] for r in sink.wait(1)[0].recipients) == list(expected)


@exercises("header_address_token_limit")
@pytest.mark.parametrize("limit, rewritten", [("20", 4), ("10240", 10)])
def test_addresses_of_a_long_header(relay, limit, rewritten):  # noqa: F811
    instance, sink = relay(header_address_token_limit=limit, append_dot_mydomain="yes")  # noqa: F811
    instance.send(body="To: %s\r\nSubject: x\r\n\r\nx\r\n" % ", ".join("u%d@host" % i for i in range(10)))
    content = sink.wait(1)[0].content
    found = len(re.findall(r"u\d@host\.test\.example", content))
    assert found == 10 if rewritten == 10 else 0 < found < 10


@exercises("compatibility_level", "mydomain")
@pytest.mark.parametrize("level, completed", [("0", True), ("3.6", False)])
def test_defaults_of_a_level(relay, level, completed):  # noqa: F811
    """append_dot_mydomain is yes below level 1."""
    instance, sink = relay(compatibility_level=level, mydomain="other.example", smtputf8_enable="no")  # noqa: F811
    instance.send(recipients=["user@host"])
    assert sink.wait(1)[0].recipients == ["user@host.other.example" if completed else "user@host"]


@exercises("info_log_address_format")
@pytest.mark.parametrize("form, shown", [("external", '"a b"@x.example'), ("internal", "a b@x.example")])
def test_addresses_in_the_log(relay, form, shown):  # noqa: F811
    instance, sink = relay(info_log_address_format=form)  # noqa: F811
    instance.send(sender='"a b"@x.example', recipients=['"a b"@x.example'])
    sink.wait(1)
    instance.wait_log(r"from=<%s>, size=" % re.escape(shown))
    instance.wait_log(r"to=<%s>, relay=" % re.escape(shown))


@exercises("delay_logging_resolution_limit")
@pytest.mark.parametrize("digits, pattern", [("0", r"delay=\d+, delays=\d+/\d+/\d+/\d+, "), ("6", r"delay=[\d.]+, delays=(?=[^,]*0\.\d{3,6})[\d./]+, ")])
def test_digits_of_delays(relay, digits, pattern):  # noqa: F811
    instance, _ = relay(delay_logging_resolution_limit=digits)

    def shown():
        """Of long delays and of round ones, fewer digits are shown."""
        qid = instance.send(recipients=["u@x.example"])
        line = instance.wait_log(r"%s: to=<u@x.example>, relay=.*" % qid).group(0)
        assert digits != "0" or re.search(pattern, line), line
        return re.search(pattern, line)
    wait_for(shown, what="delays of that form")


ROUTES = {
    "smtpd_relay_restrictions": "permit", "mydestination": "", "default_transport": "discard:default", "virtual_mailbox_domains": "box.example",
    "smtpd_recipient_restrictions": "permit_mynetworks, reject",
    "virtual_mailbox_maps": "static:x", "virtual_transport": "discard:box", "local_transport": "discard:local",
    "sender_dependent_default_transport_maps": "inline:{ {own@s.example=discard:own} {nobody@n.example=discard:nobody} {<>=discard:null} }",
}


@exercises("virtual_transport", "virtual_mailbox_domains", "virtual_mailbox_maps", "sender_dependent_default_transport_maps", "empty_address_default_transport_maps_lookup_key")
def test_transports(mta):
    for main, cases in (({}, (("a@b.example", "u@box.example", "box"), ("a@b.example", "u@far.example", "default"), ("own@s.example", "u@far.example", "own"),
                              ("own@s.example", "u@box.example", "box"), ("", "u@far.example", "null"))),
                        ({"empty_address_default_transport_maps_lookup_key": "nobody@n.example"}, (("", "u@far.example", "nobody"),))):
        instance = mta(dict(ROUTES, **main)).start()
        for sender, recipient, where in cases:
            qid = instance.send(sender=sender, recipients=[recipient])
            instance.wait_log(r"%s: to=<%s>, relay=none, .*status=sent \(%s\)" % (qid, recipient, where))


@exercises("sender_dependent_relayhost_maps", "empty_address_relayhost_maps_lookup_key", "relayhost")
def test_relay_hosts(mta, sink):  # noqa: F811
    default, own, null = sink(), sink(), sink()
    table = "inline:{ {own@s.example=[127.0.0.1]:%d} {<>=[127.0.0.1]:%d} {@dunno.example=DUNNO} }" % (own.port, null.port)
    main = dict(OPEN, relayhost="[127.0.0.1]:%d" % default.port, sender_dependent_relayhost_maps=table)
    instance = mta(main).start()
    for sender, where in (("a@b.example", default), ("own@s.example", own), ("", null), ("x@dunno.example", default)):
        before = len(where.mails)
        instance.send(sender=sender, recipients=["u@far.example"])
        where.wait(before + 1)
    instance = mta(dict(main, empty_address_relayhost_maps_lookup_key="own@s.example")).start()
    instance.send(sender="", recipients=["u@far.example"])
    own.wait(2)
    assert [len(s.mails) for s in (default, own, null)] == [2, 2, 1]


@exercises("import_environment")
def test_environment(mta):
    instance = mta({"import_environment": "MAIL_CONFIG TZ=Antarctica/Troll CHOSEN %s" % "ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS"})
    subprocess.run([os.path.join(BIN, "postern"), "-c", instance.config, "start"], env=dict(os.environ, CHOSEN="1", OTHER="2"), check=True, timeout=60,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    instance.started = True
    pid = wait_for(lambda: qmgr_pid(instance), 15, "queue manager")
    names = dict(word.split("=", 1) for word in open("/proc/%s/environ" % pid).read().split("\0") if word)
    assert (names.get("TZ"), names.get("CHOSEN"), names.get("OTHER")) == ("Antarctica/Troll", "1", None)


def qmgr_pid(instance):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid).read().split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == "qmgr" and instance.config in words:
            return pid
    return None


@exercises("process_id_directory", "setgid_group", "mail_owner", "multi_instance_name", "syslog_name")
def test_names_and_owners(mta):
    instance = mta({"process_id_directory": "run", "multi_instance_name": "postfix-two", "syslog_name": None}).start()
    pid = int(open(os.path.join(instance.queue, "run/master.pid")).read())
    assert not os.path.exists(os.path.join(instance.queue, "pid/master.pid"))
    instance.wait_log(r" postfix-two/master\[%d\]: daemon started" % pid)
    if ROOT_USER:
        import grp
        import pwd
        maildrop, incoming = (os.stat(os.path.join(instance.queue, name)) for name in ("maildrop", "incoming"))
        assert grp.getgrgid(maildrop.st_gid).gr_name == group() and pwd.getpwuid(incoming.st_uid).pw_name == instance.main["mail_owner"]
    instance.stop()
    for parameter in ("setgid_group", "mail_owner") if ROOT_USER else ():
        other = mta()
        other.set(**{parameter: "nosuch-name"})
        done = other.control("start", check=False)
        assert done.returncode == 1 and "nosuch-name" in done.stdout


@exercises("alternate_config_directories")
@pytest.mark.skipif(not ROOT_USER or "POSTERN_SANITIZER" in os.environ, reason="needs root, and more rights than sanitizers bear")
@pytest.mark.parametrize("named", [True, False])
def test_configuration_directories_of_users(mta, tmp_path, named):
    """What a set-group-id command takes from its caller is what the standard main.cf allows."""
    instance = mta()
    helper = os.path.join(instance.directory, "postqueue")
    subprocess.run(["install", "-m", "2755", "-g", instance.main["setgid_group"], os.path.join(BIN, "postqueue"), helper], check=True)
    standard = tmp_path / "etc"
    (standard / "postern").mkdir(parents=True)
    (standard / "postern/main.cf").write_text("compatibility_level = 3.6\nalternate_config_directories = /elsewhere%s\n" % (", " + instance.config if named else ""))
    script = """mount -t tmpfs none "$1/top"; mkdir "$1/top/upper" "$1/top/work"; cp -r "$1/etc/postern" "$1/top/upper/"
        mount -t overlay -o "lowerdir=/etc,upperdir=$1/top/upper,workdir=$1/top/work" none /etc
        exec setpriv --reuid=1 --regid=1 --clear-groups "$2" -c "$3" -p"""
    (tmp_path / "top").mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-euc", script, "sh", str(tmp_path), helper, instance.config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)
    assert ("not a configuration directory that ordinary users may name" in done.stdout) != named, done.stdout


@exercises("syslog_facility", "syslog_name")
@pytest.mark.skipif(not ROOT_USER, reason="needs a /dev of its own")
def test_system_log(mta, tmp_path):
    instance = mta({"maillog_file": "", "syslog_facility": "local3", "syslog_name": "postfix-three"})
    script = """mount -t tmpfs none "$1"; for d in null zero random urandom; do touch "$1/$d"; mount --bind "/dev/$d" "$1/$d"; done
        mount --rbind "$1" /dev; exec python3 -c '
import socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
s.settimeout(20)
subprocess.run([sys.argv[1], "-c", sys.argv[2], "-p", "warn", "a word"], check=True)
print(s.recv(1000).decode())' "$2" "$3" """
    (tmp_path / "dev").mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-euc", script, "sh", str(tmp_path / "dev"), os.path.join(BIN, "postlog"), instance.config],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert re.search(r"<%d>.* postfix-three/postlog\[\d+\]: warning: a word" % (19 * 8 + 4), done.stdout), done.stdout


@exercises("alias_maps", "alias_database")
def test_alias_table_that_comes_later(mta):
    """Mail waits while newaliases was forgotten, and no longer."""
    instance = mta({"alias_maps": "hash:$config_directory/aliases", "alias_database": "hash:$config_directory/aliases", "transport_maps": "inline:{far.example=discard:there}"})
    with open(os.path.join(instance.config, "aliases"), "w") as f:
        f.write("team: a@far.example\n")
    instance.start()
    instance.send(recipients=["team@test.example"])
    instance.wait_log(r"to=<team@test.example>, .*dsn=4.3.0, status=deferred \(alias database unavailable\)")
    instance.command("newaliases")

    def arrived():
        instance.command("postqueue", "-f")
        return "to=<a@far.example>" in instance.log()
    wait_for(arrived, 30, "delivery to what the alias names")
