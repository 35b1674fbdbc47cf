"""Milters: what they are told, what they decide and change, and what becomes of mail when they fail."""
import os
import re
import select
import struct
import subprocess

import pytest

import milter as M
from postern import BIN, PATIENCE, SLOW, Sink, exercises, free_port, listens, wait_for

HELLO, FROM, TO = "EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<user@test.example>"
CONTENT = "Received: from x\r\n\tby y\r\nX-B: 1\r\nX-B: 2\r\nSubject: subj\r\n\r\nbody\r\n.\r\n"
MESSAGE = [HELLO, FROM, TO, "DATA", CONTENT]


def at(letter, *answers):
    """Answers these at one event, and goes on at the others."""
    return lambda dialogue, command, data: list(answers) if command == letter else None


def edits(*changes):
    return at("E", *changes, M.CONTINUE)


def talk(instance, lines=MESSAGE, listener=None):
    """Replies; the greeting is the first."""
    with instance.client(listener) as client:
        replies = [client.greeting]
        for line in lines:
            client.raw(line if line.endswith("\r\n") else line + "\r\n")
            replies.append(client.reply())
            if not replies[-1]:
                break
        return replies


def letters(dialogue):
    return "".join(command for command, _ in dialogue.events)


def told(m):
    """The last session that said something, after its end: whoever looks whether the server listens says nothing."""
    def spoken():
        return [d for d in list(m.dialogues) if letters(d).strip("CQ")]

    wait_for(lambda: spoken() and all(d.closed for d in list(m.dialogues)), 20, "the end of the session")
    return spoken()[-1]


@pytest.fixture
def sink():
    server = Sink()
    yield server
    server.close()


@pytest.fixture
def mail(mta, sink):
    """An instance whose mail goes to the sink; mail(milter, ...) makes it."""
    def make(*milters, main=None, **keywords):
        route = "smtp:[127.0.0.1]:%d" % sink.port
        settings = {"smtpd_milters": ", ".join(m.endpoint for m in milters), "local_transport": route, "default_transport": route,
                    "local_recipient_maps": ""}
        return mta(main={**settings, **(main or {})}, **keywords).start()
    return make


def headers(mail):
    """The header lines after our own Received, without those that we add."""
    text = re.sub(rb"Received: from client\.example.*?\r\n(?![ \t])", b"", mail["data"], flags=re.S).decode()
    head = text.partition("\r\n\r\n")[0]
    return [line for line in re.split(r"\r\n(?![ \t])", head) if not re.match("(Message-Id|Date|From):", line)]


def body(mail):
    return mail["data"].partition(b"\r\n\r\n")[2]


OWN = ["Received: from x\r\n\tby y", "X-B: 1", "X-B: 2", "Subject: subj"]


# ---- events

@exercises("smtpd_milters", "milter_protocol", "milter_connect_macros", "milter_mail_macros", "milter_rcpt_macros", "milter_data_macros",
           "milter_end_of_header_macros", "milter_end_of_data_macros", "milter_helo_macros", "milter_macro_daemon_name", "milter_macro_v")
def test_events_and_macros(mail):
    with M.Milter() as m:
        a = mail(m)
        assert talk(a, MESSAGE + ["QUIT"])[-2].startswith("250")
        d = told(m)
    assert d.offer == (6, 0x1ff, 0x1fffff)
    assert letters(d) == "CHMRTLLLLLLLNBEAQ"
    events = dict((c, x) for c, x in d.events)
    assert events["C"].startswith(b"[127.0.0.1]\x004") and events["C"].endswith(b"127.0.0.1\0")
    assert (events["H"], events["M"], events["R"]) == (b"client.example\0", b"<s@client.example>\0", b"<user@test.example>\0")
    assert d.events[5] == ("L", b"Received\0from x\n\tby y\0")
    assert events["B"] == b"body\r\n"
    assert d.macros["C"]["_"] == "unknown [127.0.0.1]" and d.macros["C"]["v"].startswith("Postfix 3.7")
    assert d.macros["C"]["{daemon_name}"] == d.macros["C"]["j"] and d.macros["M"]["{mail_addr}"] == "s@client.example"
    assert d.macros["R"]["{rcpt_addr}"] == "user@test.example" and d.macros["R"]["{rcpt_mailer}"] == "smtp"
    assert re.fullmatch("[0-9A-F]{11}", d.macros["E"]["i"]) and d.macros["T"] == d.macros["N"] == d.macros["E"]


@exercises("milter_macro_defaults", "milter_unknown_command_macros")
def test_macros_asked_for(mail):
    with M.Milter(requests=((0, "{client_addr} j"), (5, "i {nobody} {x}"))) as m:
        a = mail(m, main={"milter_macro_defaults": "{x}=default, {y}=unused", "milter_unknown_command_macros": "{client_ptr} {y}"})
        talk(a, MESSAGE + ["FOO bar", "QUIT"])
        macros = told(m).macros
    assert macros["C"] == {"{client_addr}": "127.0.0.1", "j": "mail.test.example"}
    assert sorted(macros["E"]) == ["i", "{x}"] and macros["E"]["{x}"] == "default"
    assert macros["U"] == {"{client_ptr}": "unknown", "{y}": "unused"}


@pytest.mark.parametrize("bits, wanted", [(0x1 | 0x2, "MRTLLLLLLLNBE"), (0x4 | 0x8, "CHTLLLLLLLNBE"), (0x10, "CHMRTLLLLLLLNE"), (0x20, "CHMRTNBE"),
                                          (0x40 | 0x200, "CHMRLLLLLLLBE")])
def test_unwanted_events(mail, bits, wanted):
    with M.Milter(protocol=bits) as m:
        talk(mail(m), MESSAGE + ["QUIT"])
        assert letters(told(m)).startswith(wanted)


def test_no_answers_where_none_were_promised(mail, sink):
    quiet = lambda dialogue, command, data: M.NO_REPLY if command not in "EU" else None  # noqa: E731
    with M.Milter(quiet, protocol=0xFF080) as m:
        assert talk(mail(m))[-1].startswith("250")
        assert letters(told(m)).startswith("CHMRTLLLLLLLNBE")
    sink.wait()


@pytest.mark.parametrize("version, wanted", [(2, "CHMRLLLLLLLNBE"), (3, "CHMRLLLLLLLNBE"), (4, "CHMRTLLLLLLLNBE")])
@exercises("milter_protocol")
def test_versions(mail, version, wanted):
    with M.Milter() as m:
        a = mail(m, main={"milter_protocol": str(version)})
        talk(a, MESSAGE + ["FOO bar", "QUIT"])
        d = told(m)
        assert d.offer[0] == version and letters(d).startswith(wanted)
        assert ("U", b"FOO bar\0") in d.events or version == 2


def test_refused_recipients_are_told_where_wanted(mail):
    with M.Milter(protocol=0x800) as m, M.Milter() as other:
        a = mail(m, other, main={"smtpd_recipient_restrictions": "check_recipient_access inline:{bad@test.example=REJECT}, permit"})
        talk(a, [HELLO, FROM, "RCPT TO:<bad@test.example>", "QUIT"])
        assert ("R", b"<bad@test.example>\0") in told(m).events and "R" not in letters(told(other))
        assert told(m).macros["R"]["{rcpt_mailer}"] == "error" and told(m).macros["R"]["{rcpt_host}"] == "5.7.1"


def test_skip_ends_the_body(mail):
    with M.Milter(at("B", M.SKIP), protocol=0x400) as m:
        a = mail(m)
        talk(a, [HELLO, FROM, TO, "DATA", "Subject: x\r\n\r\n" + ("x" * 78 + "\r\n") * 3000 + ".\r\n", "QUIT"])
        assert letters(told(m)).count("B") == 1


def test_several_messages(mail, sink):
    with M.Milter() as m:
        replies = talk(mail(m), MESSAGE + [FROM, TO, "RSET", FROM, TO, "DATA", CONTENT, "QUIT"])
        assert sum("queued as" in r for r in replies) == 2
        assert letters(told(m)) == "CHMRTLLLLLLLNBEAMRAMRTLLLLLLLNBEAQ"


def test_chunks(mail, sink):
    with M.Milter() as m:
        assert "queued as" in talk(mail(m), [HELLO, FROM, TO, "BDAT 12\r\nSubject: x\r\n", "BDAT 6 LAST\r\n\r\nab\r\n"])[-1]
        assert letters(told(m)).startswith("CHMRTLLLLNBE")
    assert body(sink.wait()[0]) == b"ab\r\n"


# ---- decisions

REFUSALS = [(M.REJECT, "550 5.7.1 Command rejected"), (M.TEMPFAIL, "451 4.7.1 Service unavailable - try again later"),
            (M.reply_code("550-5.7.9 not\r\n550 5.7.9 you"), "550-5.7.9 not\n550 5.7.9 you"), (M.reply_code("452 full"), "452 full")]


@pytest.mark.parametrize("letter", "MRTLNBE")
@pytest.mark.parametrize("answer, reply", REFUSALS)
def test_refusals(mail, sink, letter, answer, reply):
    with M.Milter(at(letter, answer)) as m:
        a = mail(m)
        replies = talk(a)
        assert reply in replies and not any("queued as" in (r or "") for r in replies)
        where = {"M": "MAIL", "R": "RCPT", "T": "DATA"}.get(letter, "END-OF-MESSAGE")
        a.wait_log("milter-reject: %s from unknown" % where)
    assert not sink.mails


@pytest.mark.parametrize("letter", "CH")
@exercises("smtpd_milters")
def test_refused_clients(mail, letter):
    with M.Milter(at(letter, M.REJECT)) as m:
        replies = talk(mail(m), [HELLO, FROM, HELLO, FROM, "QUIT"])
        assert replies[0].startswith("554 mail.test.example ESMTP not accepting connections" if letter == "C" else "220 ")
        assert replies[1] == "250-mail.test.example\n250 ENHANCEDSTATUSCODES"
        assert replies[2] == replies[4] == "550 5.7.1 Command rejected"
        assert all("M" not in letters(d) for d in m.dialogues) and (letter == "C" or letters(told(m)).startswith("CH"))


@pytest.mark.parametrize("letter, index", [("C", 0), ("H", 1), ("M", 2), ("R", 3), ("T", 4), ("E", 5)])
@pytest.mark.parametrize("answer", [M.reply_code("421 4.7.9 bye"), M.SHUTDOWN_CLIENT], ids=["reply", "shutdown"])
def test_hang_up(mail, sink, letter, index, answer):
    with M.Milter(at(letter, answer)) as m:
        replies = talk(mail(m), MESSAGE + ["NOOP"])
        assert replies[index].startswith("421 ") and not replies[index + 1]
    assert not sink.mails


@pytest.mark.parametrize("letter", "CHMRTLNBE")
def test_accept(mail, sink, letter):
    with M.Milter(at(letter, M.ACCEPT)) as m:
        a = mail(m)
        assert "queued as" in talk(a, MESSAGE + ["QUIT"])[-2]
        seen = letters(told(m) if letter != "C" else m.dialogues[-1]).rstrip("AQ")
        assert seen == "CHMRTLLLLLLLNBE"[:"CHMRTLLLLLLLNBE".index(letter) + 1]
    sink.wait()


def test_accept_is_for_one_message(mail, sink):
    with M.Milter(at("M", M.ACCEPT)) as m:
        a = mail(m, main={"smtpd_end_of_data_restrictions": "check_sender_access inline:{first@client.example=REJECT}"})
        first = FROM.replace("s@", "first@")
        replies = talk(a, [HELLO, first, TO, "DATA", CONTENT, FROM, TO, "DATA", CONTENT, "QUIT"])
        assert replies[5].startswith("554") and "queued as" in replies[9]
        assert letters(told(m)).startswith("CHMAMA")


@pytest.mark.parametrize("letter", "MRTLNBE")
def test_discard(mail, sink, letter):
    with M.Milter(at(letter, M.DISCARD)) as m:
        a = mail(m)
        assert "queued as" in talk(a, MESSAGE + ["QUIT"])[-2]
        a.wait_log("milter-discard: ")
        m.answer = None
        talk(a, [HELLO, FROM.replace("s@", "later@"), TO, "DATA", CONTENT, "QUIT"])
    assert "later@" in sink.wait()[0]["sender"]


def test_quarantine(mail, sink):
    with M.Milter(edits(M.quarantine("for a reason"))) as m:
        a = mail(m)
        talk(a)
        a.wait_log("milter-hold: END-OF-MESSAGE from unknown")
        wait_for(lambda: "!" in a.command("postqueue", "-p").stdout, 10, "the message on hold")
    assert not sink.mails


def test_first_refusal_counts(mail):
    with M.Milter() as one, M.Milter(at("R", M.reply_code("550 5.7.1 two"))) as two, M.Milter(at("R", M.reply_code("550 5.7.1 three"))) as three:
        assert talk(mail(one, two, three), [HELLO, FROM, TO])[-1] == "550 5.7.1 two"
        assert "R" in letters(told(one)) and "R" not in letters(told(three))


def test_unknown_commands(mail):
    with M.Milter() as m:
        assert talk(mail(m), [HELLO, "FOO bar baz", "STARTTLS", "QUIT"])[2:4] == \
            ["500 5.5.2 Error: command not recognized", "502 5.5.1 Error: command not implemented"]
        assert [e for e in told(m).events if e[0] == "U"] == [("U", b"FOO bar baz\0"), ("U", b"STARTTLS\0")]


@pytest.mark.parametrize("answer, reply", [(M.TEMPFAIL, "451"), (M.ACCEPT, "500"), (M.reply_code("550 5.7.9 no"), "550 5.7.9 no")])
def test_unknown_commands_decided(mail, answer, reply):
    with M.Milter(at("U", answer)) as m:
        replies = talk(mail(m), [HELLO, "FOO", FROM, TO, "QUIT"])
        assert replies[2].startswith(reply) and replies[3].startswith("250") and replies[4].startswith("250")


@exercises("soft_bounce")
def test_soft_bounce_touches_the_reply_only(mail):
    for answer, reply in ((M.reply_code("550-5.7.1 a\r\n550 5.7.1 b"), "450-4.7.1 a\n450 4.7.1 b"), (M.reply_code("550-a\r\n5"), "451 4.3.5 "),
                          (M.reply_code("550 a"), "450 a")):
        with M.Milter(at("R", answer)) as m:
            assert talk(mail(m, main={"soft_bounce": "yes"}), [HELLO, FROM, TO])[-1].startswith(reply)


# ---- edits

@pytest.mark.parametrize("changes, wanted", [
    ([M.add_header("X-A", "1\n\t2\n3")], OWN + ["X-A: 1\r\n\t2\r\n\t3"]),
    ([M.insert_header(1, "X-A", "first"), M.insert_header(3, "X-C", "third")], ["X-A: first", OWN[0], "X-C: third"] + OWN[1:]),
    ([M.insert_header(0, "X-A", "top")], ["X-A: top"] + OWN),
    ([M.insert_header(99, "X-A", "last")], OWN + ["X-A: last"]),
    ([M.change_header(1, "X-B", "one"), M.change_header(2, "X-B", "two"), M.change_header(1, "X-B", "")], [OWN[0], "X-B: two", OWN[3]]),
    ([M.change_header(5, "X-B", "five")], OWN + ["X-B: five"]),
    ([M.change_header(1, "Received", "changed")], ["Received: changed"] + OWN[1:]),
    ([M.change_header(1, "X-N", "")], OWN),
    ([M.change_header(1, "x-b", "lower")], [OWN[0], "x-b: lower"] + OWN[2:]),
    ([M.add_header("X Bad", "name")], OWN),
])
def test_header_edits(mail, sink, changes, wanted):
    with M.Milter(edits(*changes)) as m:
        assert "queued as" in talk(mail(m))[-1]
    got = [h for h in headers(sink.wait()[0]) if h]
    assert sorted(got) == sorted(wanted) and [h for h in got if h in wanted] == wanted


def test_leading_blanks(mail, sink):
    with M.Milter(edits(M.add_header("X-A", "none"), M.add_header("X-C", "  two")), protocol=0x100000) as m:
        talk(mail(m))
        assert ("L", b"Subject\0 subj\0") in told(m).events
    assert headers(sink.wait()[0])[-2:] == ["X-A:none", "X-C:  two"]


@pytest.mark.parametrize("pieces, wanted", [([b"new\nline\r\nend"], b"new\r\nline\r\nend\r\n"), ([b"one\r\nt", b"wo\r\n"], b"one\r\ntwo\r\n"),
                                            ([b"a\rb\r", b"\n.\r\nc\n\n"], b"a b\r\n.\r\nc\r\n\r\n"), ([b""], b"")])
def test_body_edits(mail, sink, pieces, wanted):
    with M.Milter(edits(*[M.body(p) for p in pieces])) as m:
        talk(mail(m))
    assert body(sink.wait()[0]) == wanted


@pytest.mark.parametrize("old", [100, 70000, 300000, 2000000])
@pytest.mark.parametrize("new", [0, 200000, 1500000])
def test_large_messages(mail, sink, old, new):
    """Content that is stored in memory or in a file already when it changes."""
    text = ("x" * 70 + "\r\n") * (old // 72)
    body_edits = [M.body(b"y" * 65000 + b"\r\n")] * (new // 65002)
    with M.Milter(edits(M.insert_header(1, "X-First", "1"), *body_edits)) as m:
        a = mail(m, main={"smtp_line_length_limit": "0"})
        assert "queued as" in talk(a, [HELLO, FROM, TO, "DATA", "Subject: x\r\n\r\n" + text + ".\r\n"])[-1]
    got = sink.wait(seconds=30)[0]
    assert headers(got)[:2] == ["X-First: 1", "Subject: x"]
    assert body(got) == (b"".join(b[1] for b in body_edits) or text.encode())


@pytest.mark.parametrize("extra", [-1, 0, 1, 100, 8192])
@exercises("line_length_limit")
def test_long_lines_in_a_new_body(mail, sink, extra):
    """Text of a message never becomes anything else, whatever the length of its lines."""
    line = b"A" * (2048 * 5 + extra) + b"R recipient@evil.example"
    with M.Milter(edits(M.body(line + b"\r\nreport\r\n"))) as m:
        talk(mail(m, main={"smtp_line_length_limit": "0"}))
    got = sink.wait()[0]
    assert body(got) == line + b"\r\nreport\r\n" and got["recipients"] == ["<user@test.example> ORCPT=rfc822;user@test.example"]


def test_recipient_edits(mail, sink):
    with M.Milter(edits(M.add_recipient("<one@a.example>"), M.add_recipient("two@a.example", "NOTIFY=SUCCESS ORCPT=rfc822;x+2By@z FOO=1"),
                        M.add_recipient("three@a.example", "ORCPT=rfc822;a+00b NOTIFY=NEVER,SUCCESS"), M.delete_recipient("<user@test.example>"),
                        M.add_recipient("bad address@"))) as m:
        a = mail(m)
        talk(a)
        a.wait_log('ignoring ESMTP argument from Milter: "ORCPT=rfc822;a.00b"')
    assert sorted(sink.wait()[0]["recipients"]) == ["<one@a.example> ORCPT=rfc822;one@a.example", "<three@a.example> ORCPT=rfc822;three@a.example",
                                                    "<two@a.example> ORCPT=rfc822;x+2By@z NOTIFY=SUCCESS"]


def test_no_recipient_left(mail, sink):
    with M.Milter(edits(M.delete_recipient("<user@test.example>"))) as m:
        a = mail(m)
        assert "queued as" in talk(a)[-1]
        a.wait_log("milter-discard: END-OF-MESSAGE")
    assert not sink.mails


def test_recipient_comes_back(mail, sink):
    with M.Milter(edits(M.delete_recipient("<user@test.example>"), M.add_recipient("<user@test.example>"))) as m:
        talk(mail(m))
    assert len(sink.wait()[0]["recipients"]) == 1


def test_sender_edits(mail, sink):
    with M.Milter(edits(M.change_sender("<new@client.example>", "RET=HDRS ENVID=e+2Bx ENVID=a+00b RET=BOGUS FOO"))) as m:
        a = mail(m)
        talk(a)
        a.wait_log('ignoring ESMTP argument from Milter: "RET=BOGUS"')
    sender = sink.wait()[0]["sender"]
    assert sender.startswith("<new@client.example>") and "RET=HDRS" in sender and "ENVID=e+2Bx" in sender


def test_later_filters_see_edits(mail, sink):
    with M.Milter(edits(M.add_header("X-One", "1"), M.body(b"new\r\n"))) as one, M.Milter() as two:
        talk(mail(one, two))
        assert ("L", b"X-One\x001\0") in told(two).events and ("B", b"new\r\n") in told(two).events
    sink.wait()


def test_only_agreed_edits(mail, sink):
    with M.Milter(edits(M.add_header("X-A", "1")), actions=0x2) as m:
        assert talk(mail(m))[-1].startswith("451 4.7.1")
    assert not sink.mails


@exercises("milter_header_checks")
def test_header_checks(mail, sink):
    checks = ("inline:{ {X-Prepend: x = PREPEND X-Before: 1} {X-Replace: x = REPLACE X-Replaced: 1} {X-Ignore: x = IGNORE} {X-Redirect: x = "
              "REDIRECT else@a.example} {Subject: subj = REJECT} }")
    with M.Milter(edits(*[M.add_header(n, "x") for n in ("X-Prepend", "X-Replace", "X-Ignore", "X-Redirect")])) as m:
        talk(mail(m, main={"milter_header_checks": checks}))
    got = sink.wait()[0]
    assert headers(got)[-4:] == ["X-Before: 1", "X-Prepend: x", "X-Replaced: 1", "X-Redirect: x"]
    assert got["recipients"] == ["<else@a.example> ORCPT=rfc822;user@test.example"]


@exercises("milter_header_checks")
def test_header_checks_refuse(mail, sink):
    with M.Milter(edits(M.add_header("X-Spam", "yes"))) as m:
        assert talk(mail(m, main={"milter_header_checks": "inline:{{X-Spam: yes = REJECT 5.7.9 spam}}"}))[-1].startswith("550 5.7.9 spam")
    assert not sink.mails


def test_counts_are_those_that_were_shown(mail, sink):
    """What the server puts before its own Received is part of the message; the Received is not."""
    changes = [M.change_header(1, "X-B", "one"), M.change_header(2, "X-B", "two"), M.change_header(1, "Received", "theirs"), M.change_header(1, "X-A", "a")]
    with M.Milter(edits(*changes)) as m:
        a = mail(m, main={"smtpd_sender_restrictions": "check_sender_access inline:{{s@client.example = PREPEND X-A: 1}}"})
        talk(a)
        assert [x.split(b"\0")[0] for c, x in told(m).events if c == "L"][:3] == [b"X-A", b"Received", b"X-B"]
    assert headers(sink.wait()[0]) == ["X-A: a", "Received: theirs", "X-B: one", "X-B: two", "Subject: subj"]


# ---- filters that fail

@pytest.mark.parametrize("action, reply", [("tempfail", "451 4.7.1"), ("accept", "250"), ("reject", "550 5.5.0"), ("quarantine", "250")])
@pytest.mark.parametrize("endpoint", ["inet:127.0.0.1:%d", "unix:no/such/socket.%d", "inet:no.such.host.example:%d"])
@exercises("milter_default_action")
def test_default_action(mail, sink, action, reply, endpoint):
    a = mail(main={"smtpd_milters": endpoint % free_port(), "milter_default_action": action, "milter_connect_timeout": "5s"})
    replies = talk(a)
    assert replies[2].startswith(reply)
    if action == "accept":
        sink.wait()
    elif action == "quarantine":
        a.wait_log("milter-hold: CONNECT")
        wait_for(lambda: "!" in a.command("postqueue", "-p").stdout, 10, "the message on hold")
    a.wait_log("connect to Milter service")


@exercises("milter_default_action")
def test_default_shutdown(mail):
    assert talk(mail(main={"smtpd_milters": "inet:127.0.0.1:%d" % free_port(), "milter_default_action": "shutdown"}))[0].startswith("421 ")


@pytest.mark.parametrize("letter", "CHMRTLNBE")
def test_lost_in_the_middle(mail, sink, letter):
    with M.Milter(at(letter, M.HANG_UP)) as m:
        a = mail(m)
        assert any((r or "").startswith("451 4.7.1") for r in talk(a))
        a.wait_log("can't read reply to '%s': lost connection" % letter)
    assert not sink.mails


@pytest.mark.parametrize("action", ["tempfail", "accept", "reject", "quarantine"])
def test_one_message_meets_the_default_action(mail, sink, action):
    """A filter that dies in the second of three messages sees the third."""
    count = {"M": 0}

    def answer(dialogue, command, data):
        count["M"] += command == "M"
        return M.HANG_UP if command == "R" and count["M"] == 2 else None

    with M.Milter(answer) as m:
        a = mail(m, main={"milter_default_action": action})
        replies = talk(a, [HELLO, FROM, TO, "RSET", FROM, TO, "RSET", FROM, TO, "DATA", CONTENT])
        assert "queued as" in replies[-1] and replies[-3].startswith("250")
        assert replies[6].startswith({"tempfail": "451 4", "reject": "550 5"}.get(action, "250"))
        assert letters(told(m)).startswith("CHMRT")
    sink.wait()


@pytest.mark.parametrize("end", ["hang up", "cut", "silence"])
@exercises("milter_content_timeout")
def test_lost_after_an_edit_began(mail, sink, end):
    """Neither the old message nor a mixture is taken, whatever the default action."""
    def answer(dialogue, command, data):
        if command != "E":
            return None
        return [M.body(b"half of a new bo"), {"hang up": M.HANG_UP, "cut": M.CUT, "silence": M.NO_REPLY}[end]]

    with M.Milter(answer) as m:
        a = mail(m, main={"milter_default_action": "accept", "milter_content_timeout": "2s"})
        assert talk(a)[-1].startswith("451 4.7.1")
    assert not sink.mails


@pytest.mark.parametrize("parameter, letter", [("milter_connect_timeout", "O"), ("milter_command_timeout", "R"), ("milter_content_timeout", "B")])
@exercises("milter_connect_timeout", "milter_command_timeout", "milter_content_timeout")
def test_time_limits(mail, parameter, letter):
    silent = (lambda d, c, x: M.NO_REPLY if c == letter else None)
    with M.Milter(silent, hello=M.NO_REPLY if letter == "O" else None) as m:
        a = mail(m, main={parameter: "1s"})
        assert any((r or "").startswith("451 4.7.1") for r in talk(a))
        a.wait_log("timeout")


@pytest.mark.parametrize("hello", [(b"O", b"\0\0\0\6"), (b"O", struct.pack(">III", 7, 0, 0)), (b"O", struct.pack(">III", 6, 0x200, 0)), (b"c", b""),
                                   (b"O", struct.pack(">III", 6, 0, 0) + b"junk"), (b"O", struct.pack(">IIII", 6, 0, 0, 99) + b"i\0")])
def test_nonsense_in_the_options(mail, hello):
    with M.Milter(hello=hello) as m:
        assert talk(mail(m), [HELLO, FROM])[-1].startswith("451 4.7.1")


@pytest.mark.parametrize("answer", [(b"Z", b""), (b"c", b"x"), M.add_header("X", "1"), (b"y", b"550 5.7.1 no end"), M.reply_code("250 ok"),
                                    M.reply_code("550"), M.reply_code("550 4.7.1 class"), (b"l", b"")])
def test_nonsense_as_answer(mail, answer):
    with M.Milter(at("R", answer)) as m:
        assert talk(mail(m), [HELLO, FROM, TO])[-1].startswith("451 4.")


@pytest.mark.parametrize("change", [(b"h", b"no end"), (b"i", b"\0\0"), (b"m", struct.pack(">I", 1) + b"X\0"), (b"+", b"a@b"), (b"e", b""), (b"q", b"")])
def test_nonsense_as_edit(mail, sink, change):
    with M.Milter(edits(change)) as m:
        assert talk(mail(m, main={"milter_default_action": "accept"}))[-1].startswith("451 4.7.1")
    assert not sink.mails


@pytest.mark.parametrize("value", ["foo", "{ inet:127.0.0.1:1, foo=bar }", "{ inet:127.0.0.1:1, default_action=foo }"])
def test_bad_configuration(mail, value):
    a = mail(main={"smtpd_milters": value})
    assert talk(a, [HELLO, FROM])[-1].startswith("451 4.3.5 Server configuration problem")
    a.wait_log("warning: smtpd_milters: ")


# ---- which filters

def test_own_settings(mail, sink):
    with M.Milter() as m:
        main = {"smtpd_milters": "{ inet:127.0.0.1:%d, default_action=accept }, %s" % (free_port(), m.endpoint)}
        assert "queued as" in talk(mail(main=main))[-1]
        assert "E" in letters(told(m))
    sink.wait()


@exercises("smtpd_milter_maps")
def test_settings_by_client(mta, sink):
    """The next client of the same process has the configured ones again."""
    with M.Milter(at("M", M.REJECT)) as m, M.Milter(at("M", M.reply_code("550 5.7.9 other"))) as other:
        maps = "inline:{ {192.0.2.1 = DISABLE} {192.0.2.2 = %s} }" % other.endpoint
        a = mta(main={"smtpd_milters": m.endpoint, "smtpd_milter_maps": maps, "worker_processes": "1", "local_transport": "discard:",
                      "local_recipient_maps": "", "smtpd_authorized_xclient_hosts": "127.0.0.1"}).start()
        for address, reply in (("192.0.2.1", "250"), ("192.0.2.3", "550 5.7.1"), ("192.0.2.2", "550 5.7.9 other"), ("192.0.2.1", "250")):
            replies = talk(a, ["XCLIENT ADDR=%s NAME=client.example" % address, HELLO, FROM])
            assert replies[-1].startswith(reply), address
        assert any(d.events[0][1].startswith(b"client.example\x004") for d in m.dialogues if d.events)


@exercises("receive_override_options")
def test_services_without_milters(mail, sink):
    with M.Milter(at("M", M.REJECT)) as m:
        a = mail(m, services={"plain": {"receive_override_options": "no_milters"}, "other": {}})
        assert "queued as" in talk(a, listener="plain")[-1]
        assert talk(a, [HELLO, FROM], "other")[-1].startswith("550")
    sink.wait()


# ---- mail without a session

def submit(a):
    a.command("sendmail", "-f", "s@client.example", "-i", "user@test.example", "two@test.example", input="Subject: x\n\nbody\n")


@exercises("non_smtpd_milters")
def test_local_submission(mail, sink):
    with M.Milter(edits(M.add_header("X-Signed", "yes"))) as m:
        a = mail(main={"non_smtpd_milters": m.endpoint})
        submit(a)
        assert headers(sink.wait()[0])[-1] == "X-Signed: yes"
        d = told(m)
        assert letters(d).startswith("CHMRRTLLLLNBE") and d.events[0][1] == b"localhost\x004" + b"\0\0" + b"127.0.0.1\0"
        assert d.macros["M"]["{mail_addr}"] == "s@client.example" and d.macros["C"]["_"] == "localhost [127.0.0.1]"
        assert talk(a)[-1].startswith("250") and len(m.dialogues) == 1


@exercises("non_smtpd_milters")
def test_local_submission_refused(mail, sink):
    with M.Milter(at("E", M.reply_code("550 5.7.9 not this"))) as m:
        a = mail(main={"non_smtpd_milters": m.endpoint})
        submit(a)
        report = sink.wait()[0]
        assert report["sender"].startswith("<>") and b"not this" in report["data"] and b"5.7.9" in report["data"]


@exercises("non_smtpd_milters")
@pytest.mark.parametrize("letter, answer", [("E", M.TEMPFAIL), ("R", M.REJECT), ("M", M.HANG_UP)])
def test_local_submission_waits(mail, sink, letter, answer):
    with M.Milter(at(letter, answer)) as m:
        a = mail(main={"non_smtpd_milters": m.endpoint})
        submit(a)
        a.wait_log("milter-reject: ")
        assert not sink.mails
        m.answer = None
        assert len(sink.wait(seconds=30)[0]["recipients"]) == 2


@exercises("internal_mail_filter_classes", "non_smtpd_milters")
@pytest.mark.parametrize("classes, signed", [("", False), ("bounce", True), ("notify", False)])
def test_reports(mail, sink, classes, signed):
    """Reports pass the filters where their class is listed."""
    sink.rules["RCPT"] = lambda command: "550 5.1.1 nobody" if "user@" in command else "250 2.1.5 ok"
    with M.Milter(edits(M.add_header("X-Signed", "yes"))) as m:
        a = mail(main={"non_smtpd_milters": m.endpoint, "internal_mail_filter_classes": classes})
        talk(a)
        report = sink.wait()[0]
        assert report["sender"].startswith("<>") and ("X-Signed: yes" in headers(report)) == signed


def test_descriptors_of_filters_count(mta):
    """More sessions with two filters each than there are descriptors for: the filters are reached all the same, others wait."""
    with M.Milter() as one, M.Milter() as two:
        a = mta(main={"smtpd_milters": "%s, %s" % (one.endpoint, two.endpoint), "worker_processes": "1", "default_process_limit": "10",
                      "local_recipient_maps": "", "smtpd_client_connection_count_limit": "0"})
        done = subprocess.run(["prlimit", "--nofile=800:800", os.path.join(BIN, "postern"), "-c", a.config, "start"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
        a.started = True
        wait_for(lambda: listens(a.port), 10, "listener")
        clients = [a.client(greeting=False) for _ in range(400)]
        greeted = 0
        while greeted < len(clients) and select.select([clients[greeted].socket], [], [], PATIENCE * SLOW if greeted <= 100 else 5)[0]:
            clients[greeted].reply()
            greeted += 1
        assert 100 < greeted < 267
        for c in clients:
            c.close()
        wait_for(lambda: talk(a, [HELLO, FROM])[-1].startswith("250"), 20, "a session when the others are gone")
        assert "Too many open files" not in a.log() and "milter-reject" not in a.log()
