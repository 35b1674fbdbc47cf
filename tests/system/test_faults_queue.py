"""Faults that queues, rewriting and reports of other mail systems have had: each test is the trigger of one."""
import email
import json
import os
import re
import subprocess
import threading
import time

import pytest

from postern import BIN, owner, wait_for
from test_faults_client import relayed
from test_smtp_client import sink  # noqa: F401

DISCARD = {"transport_maps": "inline:{ {far.example=discard:done} {other.example=discard:done} }"}


# ---- addresses

@pytest.mark.parametrize("header", ["To: " + "(" * 50000 + "\r\n", "To: " + "a:" * 20000 + "\r\n", "To: " + "(x" * 1000 + ")" * 1000 + " a@b.example\r\n",
                                    "To: " + ",\r\n ".join("u%d@b.example" % i for i in range(20000)) + "\r\n", "To: " + "<" * 50000 + "\r\n", "To: \"" + "\\" * 50000 + "\r\n"],
                         ids=["comments", "groups", "closed", "many", "brackets", "quote"])
def test_deep_and_long_address_headers(mta, header):
    """Nested without end, or very many addresses, in a header that is rewritten: taken or refused, and the server lives."""
    instance = mta(dict(DISCARD, header_size_limit="2000000", canonical_maps="inline:{ {nobody@b.example=x@b.example} }", local_header_rewrite_clients="static:all")).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@client.example>")
        c.expect(250, "RCPT TO:<u@far.example>")
        c.expect(354, "DATA")
        c.raw(header + "Subject: x\r\n\r\ny\r\n.\r\n")
        assert c.reply()[:1] in "245"
        c.expect(221, "QUIT")
    assert "warning: process" not in instance.log()


@pytest.mark.parametrize("table, recipient", [('pcre:{ {/^(.+)@far.example$$/ "$$1$$1"@far.example} }', "ab@far.example"),
                                              ("pcre:{ {/^(.+)@far.example$$/ $$1.$$1@far.example} }", "ab@far.example"),
                                              ("pcre:{ {/^(.+)@far.example$$/ $$1x@far.example} }", "ab@far.example")])
@pytest.mark.parametrize("parameter", ["virtual_alias_maps", "recipient_canonical_maps"])
def test_addresses_that_grow(mta, table, recipient, parameter):
    """Each step makes the address longer: an end is found, and the mail neither vanishes nor eats the memory."""
    instance = mta(dict(DISCARD, **{parameter: table})).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<>")
        reply = c.command("RCPT TO:<%s>" % recipient)
        if reply.startswith("250"):
            c.expect(354, "DATA")
            reply = c.command("Subject: x\r\n\r\ny\r\n.")
    if reply.startswith("250"):
        m = instance.wait_log(r"to=<([^>]*)@far\.example>.* status=(\w+)")
        assert len(m.group(1)) <= 1000
    else:
        assert reply[0] in "45"
        assert instance.wait_log(r"warning|reject|unreasonable")


@pytest.mark.parametrize("recipient, expected", [('"aa bb+ext"', '"cc dd+ext"@other.example'), ('"aa bb"', '"cc dd"@other.example'), ("plain+a-b", "mapped+a-b@other.example"),
                                                 ('"q@at+e"', '"x@y+e"@other.example')])
def test_extension_goes_inside_the_quotes(mta, recipient, expected):
    """Quoted local parts with an extension, through a virtual alias that is quoted itself."""
    table = '{ {"aa bb"@far.example="cc dd"@other.example} {plain@far.example=mapped@other.example} {"q@at"@far.example="x@y"@other.example} }'
    instance = mta(dict(DISCARD, recipient_delimiter="+", virtual_alias_maps="inline:" + table)).start()
    instance.send(recipients=[recipient + "@far.example"])
    assert instance.wait_log(r"to=<(.*?)>, (?:orig_to|relay)").group(1) == expected


@pytest.mark.parametrize("recipient, expected", [("first.last", "user.last"), ("first.b.c", "user.b.c"), (".first", '".first"'), ("first+b-c", "user+b-c")])
def test_delimiter_that_was_found_is_put_back(mta, recipient, expected):
    """Several delimiters, one of them a dot."""
    instance = mta(dict(DISCARD, recipient_delimiter=".+-", virtual_alias_maps="inline:{ {first@far.example=user@other.example} }")).start()
    instance.send(recipients=[recipient + "@far.example"])
    assert instance.wait_log(r"to=<([^@]*)@").group(1) == expected


# ---- content

def test_no_text_in_the_name_of_the_sender(mta):
    """A full name of blanks only, none, and a very long one."""
    instance, accepted = mta(DISCARD).start(), 0
    for name in ("   ", "", "x" * 10000, "\u00e9" * 2000):
        done = subprocess.run([os.path.join(BIN, "sendmail"), "-F", name, "-f", "s@client.example", owner() + "@test.example"], input=b"Subject: x\n\ny\n",
                              env=dict(os.environ, MAIL_CONFIG=instance.config), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode in (0, 75), done
        assert done.returncode == 0 or len(name) > 1000
        accepted += done.returncode == 0
    wait_for(lambda: len(instance.maildir(owner())) == accepted)
    mails = instance.maildir(owner())
    assert all(re.search(rb"(?m)^From: (s@client.example|.* <s@client.example>)$", re.sub(rb"\n[ \t]", b" ", m)) for m in mails)
    assert all(len(line) <= 998 for m in mails for line in m.split(b"\n"))


def test_eight_bit_message_in_a_report_to_an_old_server(mta, sink):
    """The report about an 8-bit message goes to a server without 8BITMIME: its status part stays what it is and can be parsed."""
    server = sink(keywords=("PIPELINING",))
    instance = relayed(mta, server)
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@client.example> BODY=8BITMIME")
        c.expect(250, "RCPT TO:<gone@test.example>")
        c.data("Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\u00fc\u00fc\r\n")
    report = email.message_from_bytes(server.wait()[0]["data"])
    assert report.get_content_type() == "multipart/report"
    kinds = {part.get_content_type(): part for part in report.walk()}
    status = kinds["message/delivery-status"]
    assert status.get("Content-Transfer-Encoding", "7bit").lower() in ("7bit", "8bit")
    assert "gone@test.example" in str(status) and kinds.get("message/rfc822", kinds.get("text/rfc822-headers")) is not None


@pytest.mark.parametrize("notice, told", [("bounce", True), ("resource", False)])
def test_notices_go_to_their_own_recipient(mta, notice, told):
    """What a class of notice tells goes to the recipient of that class, and nothing of another class does."""
    instance = mta({"notify_classes": notice, "bounce_notice_recipient": "watch@test.example", "error_notice_recipient": "other@test.example",
                    "transport_maps": "inline:{ {watch@test.example=discard:seen} {other@test.example=discard:seen} {s@test.example=discard:x} }"}).start()
    queue_id = instance.send("s@test.example", ["gone@test.example"])
    instance.wait_log(r"to=<gone@test.example>.*bounced")
    instance.wait_log(r"to=<s@test.example>")
    instance.wait_log("%s: removed" % queue_id)  # notices are in the queue before
    wait_for(lambda: not instance.queued(), what="empty queue")
    assert "other@" not in instance.log() and ("to=<watch@test.example>" in instance.log()) == told


# ---- the queue

def test_refused_and_deferred_recipients_while_the_report_fails(mta):
    """A report cannot be queued: both recipients stay listed, each with its reason, and the refused one is reported later, once."""
    main = {"transport_maps": "inline:{ {later.example=retry:4.2.2 try later} {home.example=discard:seen} }", "smtpd_reject_unlisted_recipient": "no",
            "internal_mail_filter_classes": "bounce"}
    instance = mta(dict(main, header_checks="pcre:{{/^Subject: Undelivered/ REJECT no reports}}")).start()
    queue_id = instance.send("s@home.example", ["gone@test.example", "v@later.example"])

    def reasons():
        lines = [json.loads(line) for line in instance.command("postqueue", "-j").stdout.splitlines()]
        return {r["address"]: r.get("delay_reason", "") for line in lines if line["queue_name"] == "deferred" for r in line["recipients"]}
    wait_for(lambda: queue_id in instance.queued("deferred"))
    found = wait_for(reasons)
    assert set(found) == {"gone@test.example", "v@later.example"}
    assert "unknown user" in found["gone@test.example"] and "try later" in found["v@later.example"]
    assert instance.queued("deferred") == [queue_id]
    instance.restart(header_checks="")
    for _ in range(2):
        mark = instance.log_size()
        instance.command("postqueue", "-f")
        instance.wait_log("to=<v@later.example>", since=mark)
        wait_for(lambda: set(reasons()) == {"v@later.example"})
    instance.wait_log("to=<s@home.example>.*sent .seen")
    assert instance.log().count("sender non-delivery notification") == 1


def test_listing_while_malformed_files_are_dropped(mta):
    """Garbage comes into the maildrop again and again while the queue is listed: each listing is whole."""
    instance = mta({"defer_transports": "smtp"}).start()
    queue_id = instance.send(recipients=["u@far.example"])
    wait_for(lambda: queue_id in instance.queued("deferred"))
    good = open([os.path.join(d, queue_id) for d, _, names in os.walk(instance.queue) if queue_id in names][0], "rb").read()
    for i in range(12):
        path = os.path.join(instance.queue, "maildrop", "ABCDEF%05d" % i)
        with open(path, "wb") as f:
            os.fchmod(f.fileno(), 0o700)
            f.write((b"", good[:60], good[:len(good) // 2], b"\xff" * 3000, good[40:], os.urandom(500))[i % 6])
        done = instance.command("postqueue", "-j", check=False)
        assert done.returncode == 0 and queue_id in done.stdout
        assert instance.command("mailq", check=False).returncode == 0
    instance.command("sendmail", owner() + "@test.example", input="Subject: x\n\ny\n")
    wait_for(lambda: instance.maildir(owner()))


def test_table_changes_while_clients_come(mta):
    """An indexed table is rebuilt again and again under load: no connection is refused or lost, and the new text is seen."""
    instance = mta({"smtpd_recipient_restrictions": "check_recipient_access lmdb:$config_directory/access"})
    table = os.path.join(instance.config, "access")

    def build(text):
        with open(table, "w") as f:
            f.write("user@test.example REJECT %s\n" % text)
        instance.command("postmap", "lmdb:" + table)
    build("number0")
    instance.start()
    failures, done = [], threading.Event()

    def ask():
        while not done.is_set():
            try:
                with instance.client() as c:
                    c.expect(250, "HELO c")
                    c.expect(250, "MAIL FROM:<>")
                    reply = c.command("RCPT TO:<user@test.example>")
                    if "number" not in reply:
                        failures.append(reply)
            except (OSError, AssertionError) as e:
                failures.append(str(e))
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    for i in range(1, 8):
        build("number%d" % i)
        time.sleep(0.1)
    done.set()
    for t in threads:
        t.join()
    assert not failures, failures[:3]

    def newest():
        with instance.client() as c:
            c.expect(250, "HELO c")
            c.expect(250, "MAIL FROM:<>")
            return "number7" in c.command("RCPT TO:<user@test.example>")
    wait_for(newest)


@pytest.mark.parametrize("reply", ["550 5.7.1 no", "452 4.3.1 later"])
def test_each_recipient_gets_exactly_one_copy(mta, sink, reply):
    """Very many recipients, loaded in parts, some refused in between: nobody is forgotten or served twice."""
    server = sink(rules={"RCPT": lambda text: reply if "u7" in text else "250 2.1.5 ok"})
    instance = relayed(mta, server, qmgr_message_recipient_limit="50", default_destination_recipient_limit="20", smtpd_recipient_limit="5000", bounce_notice_recipient="x@test.example",
                       transport_maps="inline:{ {client.example=discard:x} }")
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@client.example>")
        for i in range(10):
            c.raw("".join("RCPT TO:<u%d@far.example>%s\r\n" % (n, " NOTIFY=NEVER" if n % 3 == 0 else "") for n in range(i * 100, i * 100 + 100)))
            for _ in range(100):
                assert c.reply().startswith("250")
        c.data("Subject: x\r\n\r\ny\r\n")
    refused = sum("u%d" % n >= "u7" and str(n).startswith("7") for n in range(1000))
    instance.wait_log(r"to=<u\d+@far.example>.*status=", 20, count=1000)
    got = [r.split("@")[0] for m in server.mails for r in m["recipients"]]
    assert len(got) == len(set(got)) == 1000 - refused
    assert not instance.queued("corrupt")
