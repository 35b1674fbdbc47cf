"""The same configuration and dialogue against Debian's Postfix and ours: replies, log lines and delivered mail must agree."""
import itertools
import os
import re
import subprocess
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {
    "mydestination": "test.example, localhost", "relay_domains": "relay.example", "mynetworks": "127.0.0.0/8", "local_transport": "discard:",
    "relay_transport": "discard:", "default_transport": "discard:", "smtpd_banner": "$myhostname ESMTP", "mail_name": "Postfix",
    "smtputf8_enable": "no", "disable_vrfy_command": "no", "notify_classes": "", "enable_long_queue_ids": "no",
}
SERVICES = {
    "inside": {},
    "outside": {"mynetworks": "192.0.2.0/24", "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"},
    "strict": {"strict_rfc821_envelopes": "yes", "smtpd_helo_required": "yes", "smtpd_recipient_limit": "3", "message_size_limit": "2000"},
    "footer": {"smtpd_reject_footer": "\\c. Call us", "smtpd_recipient_restrictions": "reject_non_fqdn_recipient, permit_mynetworks, reject",
               "smtpd_sender_restrictions": "reject_non_fqdn_sender", "smtpd_helo_restrictions": "reject_invalid_helo_hostname"},
    "known": {"local_recipient_maps": "inline:{known=x}"},
    "proxies": {"smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_authorized_xforward_hosts": "127.0.0.1", "smtpd_authorized_verp_clients": "127.0.0.1"},
    "fewer": {"smtpd_discard_ehlo_keywords": "chunking, size, dsn, verp, 8bitmime, etrn, pipelining, starttls", "smtpd_authorized_verp_clients": "127.0.0.1"},
    "filtered": {"smtpd_command_filter": "regexp:{ {/^XFOO (.*)/ NOOP $$1} {/^(RSET|NOOP) $$/ VRFY $$1} }"},
    "content": {"smtpd_data_restrictions": "reject"},
}

HELLO = "EHLO client.example"
FROM, TO = "MAIL FROM:<s@client.example>", "RCPT TO:<u@test.example>"
MESSAGE = "Subject: x\r\n\r\nbody\r\n.\r\n"

# (listener, lines): each line is sent and its reply read; a line that ends in CRLF is sent as it is.
DIALOGUES = {
    "plain": ("inside", ["HELO client.example", FROM, TO, "DATA", MESSAGE, "QUIT"]),
    "extended": ("inside", [HELLO, FROM + " SIZE=100 BODY=8BITMIME", TO + " NOTIFY=NEVER", "DATA", MESSAGE, "QUIT"]),
    "dsn": ("inside", [HELLO, FROM + " RET=HDRS ENVID=a+2Bb", TO + " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;u+40test.example", "RSET", "QUIT"]),
    "dsn-bad": ("inside", [HELLO, FROM + " RET=SOME", FROM, TO + " NOTIFY=NEVER,DELAY", TO + " ORCPT=rfc822", "QUIT"]),
    "order": ("inside", ["RCPT TO:<u@test.example>", "DATA", "MAIL FROM:<a@b>", "MAIL FROM:<a@b>", "DATA", "RSET", "DATA", "QUIT"]),
    "no-helo": ("strict", [FROM, "HELO", "EHLO", "HELO c.example", FROM, TO, "QUIT"]),
    "unknown": ("inside", [HELLO, "FOO", "HELP", "EXPN x", "TURN", "NOOP", "NOOP x", "VRFY u@test.example", "VRFY", "RSET x", "QUIT x", "QUIT"]),
    "relay": ("outside", [HELLO, FROM, "RCPT TO:<u@elsewhere.example>", "RCPT TO:<u@relay.example>", "RCPT TO:<u@sub.relay.example>", TO,
                          "RCPT TO:<u%elsewhere.example@test.example>", "RCPT TO:<@test.example:u@elsewhere.example>",
                          "RCPT TO:<u!elsewhere.example@test.example>", "RCPT TO:<\"u@elsewhere.example\"@test.example>", "DATA", MESSAGE, "QUIT"]),
    "syntax": ("inside", [HELLO, "MAIL", "MAIL FROM", "MAIL FROM:", "MAIL TO:<a@b>", "MAIL FROM:<a@b> FOO", "MAIL FROM:<a@b> SIZE=x",
                          "MAIL FROM:<a@b> BODY=x", "MAIL FROM:<a b@c>", "MAIL FROM:<>", "RCPT", "RCPT TO:", "RCPT TO:<>", "RCPT FROM:<a@b>",
                          "RCPT TO:<a@b> FOO=bar", "RCPT TO:<u@[127.0.0.1]>", "RCPT TO:<u@[192.0.2.1]>", "QUIT"]),
    "strict-path": ("strict", [HELLO, "MAIL FROM:a@b.example", "MAIL FROM: <a@b.example>", TO, "RCPT TO:u@test.example", "QUIT"]),
    "limits": ("strict", [HELLO, FROM, TO, "RCPT TO:<b@test.example>", "RCPT TO:<c@test.example>", "RCPT TO:<d@test.example>", "QUIT"]),
    "declared-size": ("strict", [HELLO, FROM + " SIZE=5000", "QUIT"]),
    "too-big": ("strict", [HELLO, FROM, TO, "DATA", "Subject: x\r\n\r\n" + ("x" * 78 + "\r\n") * 40 + ".\r\n", "QUIT"]),
    "footer": ("footer", [HELLO, "MAIL FROM:<s>", "RCPT TO:<u@test.example>", "RSET", FROM, "RCPT TO:<u>", "FOO", "QUIT"]),
    "helo-name": ("footer", ["EHLO bad..name", FROM, "RCPT TO:<u@test.example>", "QUIT"]),
    "unknown-user": ("known", [HELLO, FROM, "RCPT TO:<known@test.example>", "RCPT TO:<other@test.example>", "RCPT TO:<postmaster>", "DATA", MESSAGE, "QUIT"]),
    "bdat": ("inside", [HELLO, FROM, TO, "BDAT 10\r\nSubject: x", "BDAT 11 LAST\r\n\r\n\r\nhello\r\n", FROM, "BDAT 3 LAST\r\nabc", "BDAT", "BDAT x", "QUIT"]),
    "etrn": ("inside", [HELLO, "ETRN", "ETRN test.example", "ETRN bad..name", "QUIT"]),
    "http": ("inside", ["GET / HTTP/1.0"]),
    "dots": ("inside", [HELLO, FROM, TO, "DATA", "Subject: x\r\n\r\n..one\r\n...\r\n. two\r\n.\r\n", "QUIT"]),
    "long-command": ("inside", [HELLO, "NOOP " + "x" * 1900, "MAIL FROM:<" + "a" * 900 + "@b.example>", "QUIT"]),
    "case": ("inside", ["ehlo client.example", "mail from:<s@client.example>", "Rcpt To:<U@Test.Example>", "rset", "quit"]),
    "every-command": ("proxies", ["HELO x", "EHLO x", "STARTTLS", "AUTH", "XCLIENT", "XFORWARD", "NOOP", "VRFY", "ETRN", "MAIL", "RCPT", "DATA", "RSET", "FOO", "BDAT"]),
    "keywords-hidden": ("fewer", [HELLO, "EHLO again", FROM + " XVERP", "RSET", FROM + " RET=HDRS", FROM + " SIZE=1 BODY=8BITMIME", TO + " NOTIFY=NEVER", "QUIT"]),
    "verify-first": ("strict", ["VRFY", "VRFY u@test.example", "VRFY  <u@test.example> ", "VRFY \"q r\"@test.example", "VRFY x y", "VRFY a@b..c", "ETRN x", FROM]),
    "empty-chunk": ("inside", ["BDAT 0", "RSET", HELLO, FROM, "BDAT 0", "RSET", FROM, TO, "BDAT 3\r\nabc", "BDAT 0", "BDAT 0", "QUIT"]),
    "chunk-refused": ("content", [HELLO, FROM, TO, "BDAT 3\r\nabc", "BDAT 3\r\nabc", "RSET", FROM, TO, "DATA"]),
    "gone-in-chunks": ("inside", [HELLO, FROM, TO, "BDAT 3\r\nabc", "BDAT 4\r\nabcd"]),
    "gone-after-message": ("inside", [HELLO, FROM, TO, "DATA", MESSAGE]),
    "gone-after-chunks": ("inside", [HELLO, FROM, TO, "BDAT 3\r\nabc", "BDAT 3 LAST\r\nabc"]),
    "gone-at-data": ("content", [HELLO, FROM, TO, "DATA"]),
    "not-smtp": ("inside", [" \t Ab:\a\b\t\v\\ \x7f\xe9 " + "x" * 200]),
    "not-smtp-escapes": ("inside", ["Ab:" + "\xe9" * 60]),
    "helo-words": ("inside", ["HELO one  two\tthree", FROM, TO, "DATA", MESSAGE, "QUIT"]),
    "helo-words-refused": ("footer", ["HELO one.example two", FROM, TO, "QUIT"]),
    "data-argument": ("inside", ["DATA x", FROM, "DATA x", TO, "DATA x", "QUIT"]),
    "no-value": ("inside", [HELLO] + [FROM + " " + p for p in ("SIZE", "BODY", "RET", "ENVID", "AUTH", "=", "=x")] + [FROM, TO + " NOTIFY", TO + " ORCPT"]),
    "command-filter": ("filtered", ["XFOO bar", "RSET ", " NOOP", "NOOP ", "XFOO", "QUIT"]),
    "auth-parameter": ("inside", [HELLO, FROM + " AUTH=a AUTH=b", "RSET", FROM + " AUTH=<> AUTH=x+2By", TO, "RSET", FROM + " AUTH=<>", TO, "QUIT"]),
    "notify-lists": ("inside", [HELLO, FROM] + [TO + " ORCPT=rfc822;a=b NOTIFY=" + v for v in (",", "SUCCESS,", ",DELAY", "SUCCESS,,DELAY", "NEVER,NEVER", "SUCCESS,SUCCESS", "NEVER,SUCCESS")]),
    "attributes": ("proxies", ["XFORWARD REVERSE_NAME=a+", "XFORWARD NAME=+", "XFORWARD FOO", "XFORWARD FOO=a NAME=+", "XCLIENT FOO=a+", "XCLIENT NAME=+", "XCLIENT NAME",
                                "XFORWARD FOO=" + "x" * 256, "XFORWARD HELO=" + "+20" * 86, "XFORWARD HELO=" + "+20" * 85]),
    "bad-paths": ("inside", [HELLO, "MAIL FROM:<u@b..c>  SIZE=5 \t X", "MAIL FROM:\ta@b..c\tx", "MAIL FROM:\"x y\"@b..c x z", "MAIL FROM:<a b@c>x SIZE=7", "VRFY a b@..c d",
                             "MAIL FROM:<" + "x" * 300 + "@b..c> SIZE=1"]),
    "verbs-and-blanks": ("inside", [HELLO, "MAIL  FROM:<a@b.example>", "RSET", "MAIL FROM :<a@b.example>", "MAIL\tFROM:<a@b.example>", " NOOP", "", "QUIT"]),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    ours = postern.Instance(str(tmp_path_factory.mktemp("ours")), MAIN, SERVICES).start()
    theirs = postfix.Instance(str(tmp_path_factory.mktemp("theirs")), MAIN, SERVICES).start()
    yield ours, theirs
    ours.stop(check=False)
    theirs.stop(check=False)


def normal_reply(text):
    text = re.sub(r"queued as \w+", "queued as ID", text)
    return re.sub(r"^(250[- ]SIZE) \d+", r"\1 N", text, flags=re.M)


def talk(instance, listener, lines):
    replies = []
    with instance.client(listener) as client:
        replies.append(client.greeting)
        for line in lines:
            client.raw(line if line.endswith("\r\n") or "BDAT" in line and "\r\n" in line else line + "\r\n")
            replies.append(client.reply())
            if not replies[-1]:
                break
    return replies


def normal_log(text, ids):
    """Lines about mail without what must differ: time, process numbers, ids, delays. Whether, and when, Postfix's cleanup has read the header of a message
    that is then refused for its size is a race between two of its processes: it counts for messages that were accepted."""
    kept = []
    for line in text.splitlines():
        found = re.match(r"\w+ +\d+ [\d:]+ \S+ postfix/(\w+)\[\d+\]: (.*)", line)
        if not found or found.group(1) not in ("smtpd", "cleanup", "qmgr", "discard", "error", "local", "bounce"):
            continue
        program, text = found.groups()
        if program == "cleanup" and text.split(":")[0] not in ids:
            continue
        text = re.sub(r"\b(?:[0-9A-F]{8,15})\b", "ID", text)
        text = re.sub(r"delays?=[\d./]+", "delay", text)
        text = re.sub(r"message-id=<\d+\.", "message-id=<TIME.", text)
        text = re.sub(r"size=\d+", "size=N", text)
        kept.append(program + ": " + text.rstrip())
    return sorted(kept)


@pytest.mark.parametrize("name", sorted(DIALOGUES))
@exercises("smtpd_banner", "strict_rfc821_envelopes", "smtpd_helo_required", "smtpd_recipient_limit", "message_size_limit", "smtpd_reject_footer",
           "mydestination", "relay_domains", "mynetworks", "local_recipient_maps", "disable_vrfy_command", "smtpd_relay_restrictions",
           "smtpd_recipient_restrictions", "smtpd_sender_restrictions", "smtpd_helo_restrictions", "permit_mynetworks", "reject_unauth_destination",
           "reject_non_fqdn_recipient", "reject_non_fqdn_sender", "reject_invalid_helo_hostname", "reject", "local_transport", "default_transport",
           "relay_transport", "smtputf8_enable", "myhostname", "mail_name", "smtpd_discard_ehlo_keywords", "smtpd_data_restrictions", "smtpd_command_filter",
           "smtpd_authorized_xclient_hosts", "smtpd_authorized_xforward_hosts", "smtpd_authorized_verp_clients")
def test_dialogue(pair, name):
    results = []
    for instance in pair:
        mark = instance.log_size()
        replies = talk(instance, *DIALOGUES[name])
        ids = [r.split()[-1] for r in replies if "queued as" in r]
        instance.wait_log(r"disconnect from", since=mark)
        for queue_id in ids:
            instance.wait_log("%s: removed" % queue_id, since=mark)
        results.append((list(map(normal_reply, replies)), normal_log(instance.log(mark), ids)))
    assert results[0][0] == results[1][0]
    assert results[0][1] == results[1][1]


@exercises("queue_minfree", "message_size_limit")
def test_room_for_messages(tmp_path_factory):
    """In parts of what is free, where nobody else writes: the least room, the size limit, and what the client announces."""
    place = tmp_path_factory.mktemp("room")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g,mode=755", "none", str(place)], check=True)
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    rooms = [(least, limit) for least in (0, 0.0001, 0.3, 3) for limit in (0, 0.0001, 0.3, 0.9, 3)]
    services = {"room%d" % i: {"queue_minfree": str(int(least * free)), "message_size_limit": str(int(limit * free))} for i, (least, limit) in enumerate(rooms)}
    answers = []
    for make in (postern.Instance, postfix.Instance):
        instance = make(str(place / make.__module__), MAIN, services).start()
        found = {}
        for name, size in itertools.product(services, ("", 0.00001, 0.2, 0.6)):
            with instance.client(name) as client:
                client.expect(250, HELLO)
                found[services[name]["queue_minfree"], services[name]["message_size_limit"], size] = client.command(FROM + (" SIZE=%d" % (size * free) if size else ""))
        instance.stop(check=False)
        answers.append(found)
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    assert answers[0] == answers[1]
