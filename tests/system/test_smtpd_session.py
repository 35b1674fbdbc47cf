"""SMTP sessions: limits, time limits, order of commands, what EHLO offers, the log of a session."""
import os
import re
import signal
import socket
import time

import pytest

from postern import SLOW, Client, exercises, processes, wait_for

KEYWORDS = ["PIPELINING", "SIZE 10240000", "VRFY", "ETRN", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"]


def keywords(reply):
    return [line[4:] for line in reply.split("\n")[1:]]


def last_counts(instance, since=0):
    return instance.wait_log(r"disconnect from \S+ (.*commands=[1-9].*)\n", since=since).group(1)


@exercises("smtpd_discard_ehlo_keywords", "smtpd_discard_ehlo_keyword_address_maps", "disable_vrfy_command", "message_size_limit", "smtputf8_enable",
           "smtpd_authorized_xclient_hosts", "smtpd_authorized_xforward_hosts")
def test_ehlo(mta):
    services = {"all": {}, "few": {"smtpd_discard_ehlo_keywords": "dsn, Chunking, silent-discard", "disable_vrfy_command": "yes", "smtputf8_enable": "no"},
                "map": {"smtpd_discard_ehlo_keyword_address_maps": "inline:{ {127.0.0.1=pipelining etrn} }"},
                "size": {"message_size_limit": "0"}, "broken": {"smtpd_discard_ehlo_keyword_address_maps": "fail:x"},
                "proxy": {"smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_authorized_xforward_hosts": "127.0.0.1"}}
    instance = mta(services=services).start()

    def offered(name):
        with instance.client(name) as c:
            return keywords(c.expect(250, "EHLO c"))
    assert offered("all") == KEYWORDS
    assert offered("few") == [k for k in KEYWORDS if k not in ("DSN", "CHUNKING", "VRFY", "SMTPUTF8")]
    assert offered("map") == [k for k in KEYWORDS if k not in ("PIPELINING", "ETRN")]
    assert offered("size")[1] == "SIZE"
    with instance.client("broken") as c:
        c.expect(250, "HELO c")
        assert c.command("EHLO c") == "421 4.3.0 mail.test.example Server local data error" and c.reply() == ""
    assert [k.split()[0] for k in offered("proxy")][4:6] == ["XCLIENT", "XFORWARD"]
    instance.wait_log("discarding EHLO keywords: ETRN PIPELINING")


@exercises("smtpd_helo_required", "smtpd_banner", "smtpd_noop_commands", "smtpd_forbidden_commands")
def test_order_of_commands(mta):
    instance = mta({"smtpd_helo_required": "yes", "smtpd_banner": "$myhostname ESMTP $mail_name here", "smtpd_noop_commands": "FOO",
                    "mail_name": "Thing"}).start()
    with instance.client() as c:
        assert c.greeting == "220 mail.test.example ESMTP Thing here"
        for line, reply in [("MAIL FROM:<a@b.example>", "503 5.5.1 Error: send HELO/EHLO first"), ("HELO", "501 Syntax: HELO hostname"), ("HELO c", "250 mail.test.example"),
                            ("RCPT TO:<user@test.example>", "503 5.5.1 Error: need MAIL command"), ("DATA", "503 5.5.1 Error: need RCPT command"),
                            ("MAIL FROM:<a@b.example>", "250 2.1.0 Ok"), ("MAIL FROM:<a@b.example>", "503 5.5.1 Error: nested MAIL command"),
                            ("DATA", "554 5.5.1 Error: no valid recipients"), ("RCPT TO:<user@test.example>", "250 2.1.5 Ok"),
                            ("DATA x", "501 5.5.4 Syntax: DATA"), ("EHLO c", None), ("RCPT TO:<user@test.example>", "503 5.5.1 Error: need MAIL command"),
                            ("foo whatever", "250 2.0.0 Ok"), ("HELP", "500 5.5.2 Error: command not recognized"), ("RSET x", "501 5.5.4 Syntax: RSET"),
                            ("STARTTLS", "502 5.5.1 Error: command not implemented"), ("AUTH PLAIN", "503 5.5.1 Error: authentication not enabled"),
                            ("Subject: x", "221 2.7.0 Error: I can break rules, too. Goodbye.")]:
            got = c.command(line)
            assert reply is None or got == reply, line
        assert c.reply() == ""
    instance.wait_log(r"warning: non-SMTP command from unknown\[127.0.0.1\]: Subject: x\n")
    assert re.search(r"helo=1/2 ehlo=1 starttls=0/1 auth=0/1 mail=1/3 rcpt=1/3 data=0/3 rset=0/1 unknown=0/2 commands=4/17", last_counts(instance))


@exercises("smtpd_hard_error_limit", "smtpd_soft_error_limit", "smtpd_error_sleep_time", "smtpd_junk_command_limit")
def test_errors_cost_time(mta):
    instance = mta({"smtpd_soft_error_limit": "2", "smtpd_hard_error_limit": "4", "smtpd_error_sleep_time": "1s", "smtpd_junk_command_limit": "3"}).start()

    def first_error():
        with instance.client() as c:
            return timed(c)

    def timed(c):
        start = time.monotonic()
        c.expect(500, "FOO")
        return time.monotonic() - start
    assert min(first_error() for _ in range(5)) < 0.9
    with instance.client() as c:
        times = [timed(c) for _ in range(4)]
        assert times[1] >= 0.9 and times[2] >= 0.9
        assert c.reply() == "421 4.7.0 mail.test.example Error: too many errors"
        assert c.reply() == ""
    instance.wait_log(r"too many errors after UNKNOWN from unknown\[127.0.0.1\]\n")
    with instance.client() as c:
        replies = [c.command("NOOP") for _ in range(9)]
    assert replies[:7] == ["250 2.0.0 Ok"] * 7 and "421 4.7.0 mail.test.example Error: too many errors" in replies


@exercises("smtpd_recipient_limit", "smtpd_recipient_overshoot_limit")
def test_recipient_limit(mta):
    instance = mta({"smtpd_recipient_limit": "2", "smtpd_recipient_overshoot_limit": "1"}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<a@b.example>")
        assert [c.command("RCPT TO:<u%d@test.example>" % i)[:9] for i in range(4)] == ["250 2.1.5"] * 2 + ["452 4.5.3"] * 2
        c.data("x\r\n")
    assert "rcpt=3/4" in last_counts(instance)


@exercises("message_size_limit", "line_length_limit")
def test_sizes(mta):
    instance = mta({"message_size_limit": "2000", "line_length_limit": "512"}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        assert c.command("MAIL FROM:<a@b.example> SIZE=2001") == "552 5.3.4 Message size exceeds fixed limit"
        c.expect(250, "MAIL FROM:<a@b.example> SIZE=2000")
        c.expect(250, "RCPT TO:<user@test.example>")
        c.expect(354, "DATA")
        assert c.command("x\r\n" * 2000 + ".") == "552 5.3.4 Error: message file too big"
        c.expect(250, "MAIL FROM:<a@b.example>")
        assert c.command("FOO " + "x" * 600) == "500 5.5.2 Error: command line too long"
    # A line of any length: the client is told, and not read from for ever.
    with instance.client() as c:
        sent = 0
        try:
            while sent < 16 << 20:
                c.raw("x" * 65536)
                sent += 65536
        except OSError:
            pass
        assert sent < 16 << 20
    instance.wait_log(r"smtpd\[\d+\]: warning: \S+ request longer than 512: xxx")


@exercises("smtpd_timeout", "smtpd_per_request_deadline", "smtpd_min_data_rate")
def test_time_limits(mta):
    services = {"reads": {}, "request": {"smtpd_per_request_deadline": "yes", "smtpd_min_data_rate": "100"}}
    instance = mta({"smtpd_timeout": "2s"}, services=services).start()
    # Nothing is said, or half a command, or content comes and stops.
    for name, lines, after in [("reads", [], "CONNECT"), ("reads", ["NOOP"], "NOOP"), ("request", ["EHLO c"], "EHLO"),
                               ("reads", ["EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<user@test.example>", "DATA"], r"DATA \(5 bytes\)")]:
        mark = instance.log_size()
        with instance.client(name) as c:
            for line in lines:
                c.command(line)
            c.raw("abc\r\nde" if lines and lines[-1] == "DATA" else "")
            assert c.reply() == "421 4.4.2 mail.test.example Error: timeout exceeded"
        instance.wait_log(r"timeout after %s from unknown\[127.0.0.1\]\n" % after, since=mark)
    # A byte now and then keeps a session alive with the one, not with the other.
    for name, closed in (("reads", False), ("request", True)):
        assert wait_for(lambda: drip(instance.client(name)), 60, "an attempt without a pause of our own") == ("closed" if closed else "open")


def drip(c):
    """Half a command, a byte each half second for four seconds: "open", "closed", or None when this machine made longer pauses."""
    with c:
        last, pause = time.monotonic(), 0
        for _ in range(8):
            try:
                c.raw("N")
            except OSError:
                break
            time.sleep(0.5)
            pause, last = max(pause, time.monotonic() - last), time.monotonic()
        c.socket.settimeout(0.5)
        try:
            reply = c.reply()
        except TimeoutError:
            return "open"
        assert reply in ("421 4.4.2 mail.test.example Error: timeout exceeded", "")
        return "closed" if pause < 1 else None


@exercises("smtpd_forbid_unauth_pipelining")
def test_pipelining(mta):
    services = {"log": {}, "refuse": {"smtpd_forbid_unauth_pipelining": "yes"}}
    instance = mta(services=services).start()
    lawful = "MAIL FROM:<a@b.example>\r\nRCPT TO:<user@test.example>\r\nRCPT TO:<user2@test.example>\r\nDATA\r\n"
    for name in services:
        with instance.client(name) as c:
            c.expect(250, "EHLO c")
            c.raw(lawful)
            assert [c.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
            c.raw("x\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<user@test.example>\r\nBDAT 3 LAST\r\nx\r\nQUIT\r\n")
            assert [c.reply()[:3] for _ in range(6)] == ["250", "250", "250", "250", "250", "221"]
    for first in ("EHLO c\r\nMAIL FROM:<>\r\n", "NOOP\r\nNOOP\r\n", "HELO c\r\nRSET\r\n"):
        with instance.client("refuse") as c:
            c.raw(first)
            assert c.reply() == "554 5.5.0 Error: SMTP protocol synchronization"
            assert c.reply() == ""
        with instance.client("log") as c:
            c.raw(first)
            assert [c.reply()[:3], c.reply()[:3]] == ["250", "250"]
    with instance.client("refuse") as c:
        for line in lawful.strip().split("\r\n")[:2]:
            c.command(line)
        c.raw("DATA\r\nx\r\n.\r\n")
        assert c.reply() == "554 5.5.0 Error: SMTP protocol synchronization"
    with Client(instance.ports["refuse"], greeting=False) as c:
        c.raw("EHLO c\r\n")
        assert c.reply()[:3] in ("554", "220")
    instance.wait_log(r"improper command pipelining after EHLO from unknown\[127.0.0.1\]: MAIL FROM:<>\\r\\n\n")


@exercises("smtpd_forbid_bare_newline", "smtpd_forbid_bare_newline_exclusions", "smtpd_forbid_bare_newline_reject_code", "cleanup_replace_stray_cr_lf")
def test_bare_newlines(mta):
    services = {"no": {"smtpd_forbid_bare_newline": "no"}, "normalize": {"smtpd_forbid_bare_newline": "normalize"},
                "reject": {"smtpd_forbid_bare_newline": "reject", "smtpd_forbid_bare_newline_reject_code": "521"},
                "excluded": {"smtpd_forbid_bare_newline": "reject", "smtpd_forbid_bare_newline_exclusions": "127.0.0.1"}}
    instance = mta({"mynetworks": "192.0.2.0/24", "mydestination": "test.example", "local_transport": "local"}, services=services).start()
    replies = {}
    for name in services:
        with instance.client(name) as c:
            c.expect(250, "HELO c")
            c.expect(250, "MAIL FROM:<a@b.example>")
            c.expect(250, "RCPT TO:<%s@test.example>" % name)
            c.expect(354, "DATA")
            c.raw("Subject: %s\r\n\r\none\n.\ntwo\rthree\r\n.\r\nNOOP\r\n" % name)
            replies[name] = [c.reply()[:3], c.reply()[:3]]
    assert replies == {"no": ["250", "500"], "normalize": ["250", "250"], "reject": ["521", ""], "excluded": ["250", "500"]}
    instance.wait_log(r"reject: DATA content from unknown\[127.0.0.1\]: bare <LF> received; from=<a@b.example>")
    with instance.client("reject") as c:
        c.raw("NOOP\n")
        assert c.reply() == "521 5.5.2 mail.test.example Error: bare <LF> received"
        assert c.reply() == ""
    instance.wait_log(r"NOQUEUE: reject: CONNECT from unknown\[127.0.0.1\]: bare <LF> received; proto=SMTP\n")
    with instance.client("reject") as c:
        c.expect(250, "HELO c")
        c.expect(250, "MAIL FROM:<a@b.example>")
        c.expect(250, "RCPT TO:<user@test.example>")
        assert c.command("BDAT 5\r\na\nb")[:3] == "521"


@exercises("smtpd_reject_footer", "smtpd_reject_footer_maps", "soft_bounce", "smtpd_client_port_logging")
def test_replies(mta):
    services = {"footer": {"smtpd_reject_footer": "\\c. Call us\\nabout $client_address of $helo_name"},
                "map": {"smtpd_reject_footer_maps": "pcre:{ {/^500/ see $$$$server_name} }"}, "soft": {"soft_bounce": "yes"},
                "port": {"smtpd_client_port_logging": "yes"}}
    instance = mta(services=services).start()
    with instance.client("footer") as c:
        c.expect(250, "HELO c.example")
        assert c.command("FOO") == "500-5.5.2 Error: command not recognized. Call us\n500 5.5.2 about 127.0.0.1 of c.example"
        assert c.command("RSET x").split("\n")[1] == "501 5.5.4 about 127.0.0.1 of c.example"
        assert c.command("NOOP") == "250 2.0.0 Ok"
    with instance.client("map") as c:
        assert c.command("FOO") == "500-5.5.2 Error: command not recognized\n500 5.5.2 see mail.test.example"
    with instance.client("soft") as c:
        assert c.command("FOO") == "400 4.5.2 Error: command not recognized"
    with instance.client("port") as c:
        port = c.socket.getsockname()[1]
    instance.wait_log(r"disconnect from unknown\[127.0.0.1\]:%d commands=0/0|disconnect from unknown\[127.0.0.1\]:%d\n" % (port, port))


@exercises("smtpd_reject_filter_maps")
def test_refusals_are_replaced(mta):
    """Before the footer, and only by refusals."""
    rules = ["{/^500 5.5.2 (.*)/ 450 4.7.9 in short: $$1}", "{/^501/ 250 2.0.0 fine}", "{/^503 / 550 4.1.1 odd}", "{/^502/ 521 5.5.9 away}"]
    instance = mta(services={"map": {"smtpd_reject_filter_maps": "pcre:{ %s }" % " ".join(rules), "smtpd_reject_footer": "see $client_address", "disable_vrfy_command": "yes"},
                             "failing": {"smtpd_reject_filter_maps": "fail:x"}}).start()
    with instance.client("map") as c:
        c.expect(250, "HELO c.example")
        assert c.command("FOO") == "450-4.7.9 in short: Error: command not recognized\n450 4.7.9 see 127.0.0.1"
        assert c.command("RSET x") == "501-5.5.4 Syntax: RSET\n501 5.5.4 see 127.0.0.1"
        assert c.command("RCPT TO:<a@b.example>").startswith("503-5.5.1 ")
        assert c.command("VRFY a").startswith("521-5.5.9 away")
        assert c.line() is None
    instance.wait_log('warning: smtpd_reject_filter_maps: no refusal: "550 4.1.1 odd", for "503 5.5.1 ')
    with instance.client("failing") as c:
        c.expect(250, "HELO c.example")
        assert c.command("FOO") == "500 5.5.2 Error: command not recognized"
    instance.wait_log("warning: smtpd_reject_filter_maps: 500 5.5.2 Error: command not recognized: ")


def test_parked_sessions(mta):
    """Waiting sessions cost no slot and little memory, and answer when they are spoken to."""
    instance = mta({"default_process_limit": "4", "worker_processes": "1"}).start()
    clients = [Client(instance.port) for _ in range(50)]
    pid, = processes(instance, "smtpd")
    time.sleep(0.5 * SLOW)
    before = rss(pid)
    clients += [Client(instance.port) for _ in range(400)]
    wait_for(lambda: rss(pid) - before < 400 * 16 * SLOW, 10, "little memory once all are parked")
    for c in clients:
        c.raw("EHLO c\r\nMAIL FR")
    for c in clients:
        assert c.reply().startswith("250")
    for c in clients:
        c.raw("OM:<a@b.example>\r\nRCPT TO:<user@test.example>\r\n")
    assert all(c.reply() == "250 2.1.0 Ok" and c.reply() == "250 2.1.5 Ok" for c in clients)
    assert instance.client().command("NOOP") == "250 2.0.0 Ok"
    for c in clients:
        c.close()


def rss(pid):
    """Resident kB."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


@exercises("smtpd_authorized_xforward_hosts", "smtpd_upstream_proxy_protocol", "smtpd_upstream_proxy_timeout")
def test_other_clients(mta):
    services = {"forward": {"smtpd_authorized_xforward_hosts": "127.0.0.1"},
                "proxy": {"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_upstream_proxy_timeout": "3s"}}
    instance = mta(services=services).start()
    with instance.client("forward") as c:
        c.expect(250, "EHLO c")
        assert c.command("XFORWARD NAME=orig.example ADDR=192.0.2.7 IDENT=ABC HELO=h PROTO=SMTP") == "250 2.0.0 Ok"
        c.mail("a@b.example", ["user@test.example"], "x\r\n")
        c.mail("a@b.example", ["user@test.example"], "x\r\n")
    found = re.findall(r": client=(.*)", instance.log())
    assert found == ["unknown[127.0.0.1], orig_queue_id=ABC, orig_client=orig.example[192.0.2.7]", "unknown[127.0.0.1]"]
    for header, reply in [("PROXY TCP4 192.0.2.9 192.0.2.1 77 25\r\n", "220"), ("PROXY UNKNOWN\r\n", "220"), ("EHLO client.example\r\n", "421"), ("", "421"),
                          ("PROXY TCP4 192.0.2.9", "421")]:
        with Client(instance.ports["proxy"], greeting=False) as c:
            c.raw(header)
            assert c.reply().startswith(reply)
    instance.wait_log(r"connect from unknown\[192.0.2.9\]\n")
    instance.wait_log(r"warning: haproxy read: timeout error\n", count=2)


def test_lost_connections(mta):
    instance = mta().start()
    for lines, after in [([], "CONNECT"), (["EHLO c"], "EHLO"), (["EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<user@test.example>"], "RCPT"),
                         (["HELO c", "MAIL FROM:<a@b.example>", "RCPT TO:<user@test.example>", "DATA"], r"DATA \(5 bytes\)")]:
        mark = instance.log_size()
        with instance.client() as c:
            for line in lines:
                c.command(line)
            if lines and lines[-1] == "DATA":
                c.raw("abc\r\n")
                time.sleep(0.1)
            c.socket.shutdown(socket.SHUT_WR)
        instance.wait_log(r"lost connection after %s from unknown\[127.0.0.1\]\n" % after, since=mark)
    wait_for(lambda: not instance.queued(), what="an empty queue")


@exercises("smtpd_delay_open_until_valid_rcpt")
def test_when_the_queue_file_is_made(mta):
    services = {"late": {}, "early": {"smtpd_delay_open_until_valid_rcpt": "no"}}
    instance = mta(services=services).start()
    for name, lines in (("late", 0), ("early", 1)):
        mark = instance.log_size()
        with instance.client(name) as c:
            c.expect(250, "HELO c")
            c.expect(250, "MAIL FROM:<a@b.example>")
        instance.wait_log("disconnect", since=mark)
        assert len(re.findall(": client=", instance.log(mark))) == lines


@pytest.mark.parametrize("reload", (False, True))
@exercises("smtpd_client_connection_count_limit")
def test_connections_of_a_process_that_died_count_no_more(mta, reload):
    """Whether another takes its place at once, or it was on its way out after a reload."""
    a = mta(main={"smtpd_client_event_limit_exceptions": "", "smtpd_client_connection_count_limit": "2", "worker_processes": "1"}).start()
    first = [a.client() for _ in range(2)]
    for c in first:
        assert c.greeting.startswith("220")
    old, = processes(a, "smtpd")
    if reload:
        a.reload()
        wait_for(lambda: a.client().greeting.startswith("421") and re.search(r"smtpd\[(?!%d\])\d+\]: warning: Connection concurrency" % old, a.log()),
                 what="a new process, which counts those of the old one")
    os.kill(old, signal.SIGKILL)
    a.wait_log(r"smtpd pid %d killed by signal 9" % old)
    held = []

    def admitted():
        c = a.client()
        held.extend([c] * c.greeting.startswith("220"))
        return len(held) == 2
    wait_for(admitted, what="two connections")  # a process looks for dead ones once a second
    assert a.client().greeting.startswith("421 4.7.0")


@exercises("smtpd_client_connection_count_limit", "smtpd_client_connection_rate_limit", "smtpd_client_message_rate_limit",
           "smtpd_client_recipient_rate_limit", "smtpd_client_event_limit_exceptions", "anvil_rate_time_unit", "smtpd_client_ipv4_prefix_length")
def test_client_limits(mta):
    services = {"count": {"smtpd_client_connection_count_limit": "3"}, "rate": {"smtpd_client_connection_rate_limit": "4"},
                "events": {"smtpd_client_message_rate_limit": "2", "smtpd_client_recipient_rate_limit": "3"},
                "except": {"smtpd_client_connection_count_limit": "1", "smtpd_client_event_limit_exceptions": "127.0.0.0/8"},
                "proxied": {"smtpd_client_connection_count_limit": "2", "smtpd_upstream_proxy_protocol": "haproxy", "smtpd_client_ipv4_prefix_length": "24"}}
    instance = mta({"smtpd_client_event_limit_exceptions": "", "anvil_rate_time_unit": "600s"}, services=services).start()
    refused = "421 4.7.0 mail.test.example Error: too many connections from "
    clients = [instance.client("count") for _ in range(3)]
    assert all(c.greeting.startswith("220") for c in clients)
    for _ in range(3):  # whichever process takes it
        assert instance.client("count").greeting == refused + "127.0.0.1"
    clients.pop().close()
    wait_for(lambda: instance.client("count").greeting.startswith("220"))
    instance.wait_log(r"warning: Connection concurrency limit exceeded: 4 from unknown\[127.0.0.1\] for service 127.0.0.1:\d+\n")
    assert [instance.client("rate").greeting[:3] for _ in range(6)] == ["220"] * 4 + ["421"] * 2
    with instance.client("events") as c:
        c.expect(250, "EHLO c")
        for i in range(2):
            c.expect(250, "MAIL FROM:<a@b.example>")
            c.expect(250, "RCPT TO:<user@test.example>")
            if i:
                c.expect(250, "RCPT TO:<user@test.example>")
                assert c.command("RCPT TO:<user@test.example>") == "450 4.7.1 Error: too many recipients from 127.0.0.1"
            c.expect(250, "RSET")
        assert c.command("MAIL FROM:<a@b.example>") == "450 4.7.1 Error: too much mail from 127.0.0.1"
    excepted = [instance.client("except") for _ in range(5)]
    assert all(c.greeting.startswith("220") for c in excepted)
    replies = []
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.3.1"):
        clients.append(Client(instance.ports["proxied"], greeting=False))
        clients[-1].raw("PROXY TCP4 %s 192.0.2.1 1 25\r\n" % address)
        replies.append(clients[-1].reply())
    assert [r[:3] for r in replies] == ["220", "220", "421", "220"] and replies[2] == refused + "192.0.2.3"


@exercises("smtpd_command_filter", "smtpd_authorized_verp_clients", "default_verp_delimiters", "verp_delimiter_filter")
def test_command_filter_and_verp(mta):
    services = {"filter": {"smtpd_command_filter": "pcre:{ {/^RCPT TO:<alias>(.*)/ RCPT TO:<user@test.example>$$1} {/^X-/ NOOP} }"},
                "verp": {"smtpd_authorized_verp_clients": "127.0.0.1"}}
    instance = mta({"local_recipient_maps": "inline:{ {user=x} }", "append_at_myorigin": "yes"}, services=services).start()
    with instance.client("filter") as c:
        c.expect(250, "HELO c")
        c.expect(250, "MAIL FROM:<a@b.example>")
        assert c.command("RCPT TO:<gone>").startswith("550 5.1.1")
        assert c.command("RCPT TO:<alias> NOTIFY=NEVER") == "250 2.1.5 Ok"
        assert c.command("X-whatever") == "250 2.0.0 Ok"
    with instance.client("verp") as c:
        assert "XVERP" in keywords(c.expect(250, "EHLO c"))
        for line, reply in [("MAIL FROM:<> XVERP", "503 5.5.4 Error: XVERP requires non-null sender"),
                            ("MAIL FROM:<a@b.example> XVERP=**", "501 5.5.4 Error: XVERP needs two characters from -=+"), ("MAIL FROM:<a@b.example> XVERP=-=", "250 2.1.0 Ok")]:
            assert c.command(line) == reply
    with instance.client("filter") as c:
        c.expect(250, "EHLO c")
        assert c.command("MAIL FROM:<a@b.example> XVERP") == "555 5.5.4 Unsupported option: XVERP"


@exercises("queue_minfree", "message_size_limit")
def test_mail_is_refused_without_room_for_it(mta):
    a = mta(services={"room": {"message_size_limit": "0"}, "none": {"queue_minfree": "9000000000000000000"}}).start()
    with a.client("room") as client:
        client.expect(250, "EHLO client.example")
        client.expect(452, "MAIL FROM:<s@client.example> SIZE=9000000000000000000")
        client.expect(250, "MAIL FROM:<s@client.example> SIZE=1000")
    with a.client("none") as client:
        client.expect(250, "EHLO client.example")
        reply = client.expect(452, "MAIL FROM:<s@client.example>")
        assert reply == "452 4.3.1 Insufficient system storage"
