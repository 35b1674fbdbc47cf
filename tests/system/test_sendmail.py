"""Mail of local programs: sendmail, postdrop, pickup."""
import os
import pwd
import re
import signal
import struct
import subprocess

import pytest

from postern import BIN, MASTER, PATIENCE, ROOT_USER, SLOW, exercises, owner, wait_for

USER = owner() if not ROOT_USER else "nobody"
HERE = USER + "@test.example"


@pytest.fixture
def system(mta):
    def make(**main):
        return mta(main).start()
    return make


def sendmail(instance, *arguments, text="Subject: x\n\nbody\n", name="sendmail", **keywords):
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run([os.path.join(BIN, name), *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=dict(os.environ, MAIL_CONFIG=instance.config, **keywords.pop("env", {})), **keywords)


def accepted(instance, *arguments, **keywords):
    done = sendmail(instance, *arguments, **keywords)
    assert (done.returncode, done.stdout) == (0, b""), done
    return done


def delivered(instance, count=1):
    return wait_for(lambda: len(instance.maildir(USER)) >= count and instance.maildir(USER), what="delivery\n" + instance.log())


def test_simple(system):
    mta = system()
    accepted(mta, "-i", "-f", "s@client.example", HERE, text="Subject: a\n\nbody\nFrom x\n.\n", env={"NAME": "Some Body"})
    mail, = delivered(mta)
    qid = mta.wait_log(r"postfix/pickup\[\d+\]: (\w+): uid=%d from=<s@client\.example>" % os.getuid()).group(1)
    assert re.match(rb"Return-Path: <s@client\.example>\nX-Original-To: .*\nDelivered-To: .*\n"
                    rb"Received: by mail\.test\.example \(\w+, from userid %d\)\n\tid %s; .*\n" % (os.getuid(), qid.encode()), mail)
    assert b"\nSubject: a\n" in mail and b"\nMessage-Id: <" in mail and b"\nDate: " in mail
    assert b"\nFrom: Some Body <s@client.example>\n" in mail
    assert mail.endswith(b"\n\nbody\nFrom x\n.\n")
    mta.wait_log(r"%s: removed" % qid)
    wait_for(lambda: not mta.queued("maildrop"), what="an empty maildrop")


@pytest.mark.parametrize("text,body", [
    ("Subject: x\n\none\n.\ntwo\n", b"\n\none\n"),
    ("Subject: x\n\nno end", b"\n\nno end\n"),
    ("Subject: x\r\n\r\na\r\nb\r\n", b"\n\na\nb\n"),
    ("From someone Fri\n>From other Fri\nSubject: x\n\nFrom body\n", b"\n\nFrom body\n"),
    ("just text\nmore\n", b"\n\njust text\nmore\n"),
    ("\n\nblank\n", b"\n\n\nblank\n"),
    ("Subject: x\n\n" + "l" * 300000 + "\nend\n", b"\n\n" + b"l" * 300000 + b"\nend\n"),
    ("", b"\n\n"),
], ids=range(8))
def test_message_forms(system, text, body):
    mta = system()
    accepted(mta, HERE, text=text)
    mail, = delivered(mta)
    assert mail.endswith(body) or (text == "" and b"\n\n" not in mail[:-1]), mail[-200:]
    assert b"\r" not in mail and not re.search(rb"(?m)^>?From someone", mail)


@pytest.mark.parametrize("headers,arguments,recipients", [
    ("To: a@far.example, \"B, C\" <b@far.example>,\n grp: c@far.example, d@far.example;\nCc: (x) e@far.example\nBcc: f@far.example\n", [], "abcdef"),
    ("To: a@far.example\nResent-To: b@far.example\nResent-Bcc: c@far.example\n", [], "bc"),
    ("to : a@far.example\n", ["z@far.example"], "az"),
    ("To: a@far.example\n\nCc: b@far.example\n", [], "a"),
])
def test_recipients_of_the_header(system, headers, arguments, recipients):
    mta = system(transport_maps="inline:{{far.example=discard:done}}")
    accepted(mta, "-t", *arguments, text=headers + "Subject: x\n\nbody\n")
    for letter in recipients:
        mta.wait_log(r"to=<%s@far\.example>.*status=sent" % letter)
    mta.wait_log(": removed")
    assert len(re.findall(r"status=sent", mta.log())) == len(recipients)


def test_blind_recipients_are_not_told(system):
    mta = system(transport_maps="inline:{{far.example=discard:done}}")
    accepted(mta, "-t", text="To: %s\nBcc: secret@far.example\nSubject: x\n\nb\n" % HERE)
    mail, = delivered(mta)
    assert b"secret" not in mail
    mta.wait_log(r"to=<secret@far\.example>")


def test_many_recipients_in_one_header(system):
    mta = system(transport_maps="inline:{{far.example=discard:done}}")
    addresses = ["user%d@far.example" % i for i in range(5000)]
    accepted(mta, "-t", text="To: " + ",\n ".join(addresses) + "\n\nb\n")
    mta.wait_log(r"nrcpt=5000 ")


@pytest.mark.parametrize("arguments,message", [
    ([], b"Recipient addresses must be specified on the command line or via the -t option"),
    (["-t"], b"No recipient addresses found in message header"),
    (["-bX"], b"unsupported: -bX"),
    (["-qx"], b"-qx is not implemented"),
    (["-qI"], b"specify: -qIqueueid"),
    (["-qR", HERE], b"specify: -qRsitename"),
    (["-t", "-q"], b"-t can be used only in delivery mode"),
    (["-bp", "-t"], b"-t can be used only in delivery mode"),
    (["-Z", HERE], b"usage: sendmail [options]"),
    (["-B", "BINARY", HERE], b"-B option needs 8BITMIME or 7BIT"),
    (["-f", "a\nFrom x", HERE], b"control character"),
    (["-F", "a\rb", HERE], b"control character"),
    (["-V", "a\nb", HERE], b"control character"),
    (["a\nFrom@x", HERE], b"control character"),
    (['"open@x'], b"bad recipient address syntax"),
    (["a" * 1100 + "@x.example"], b"address longer than"),
    (["-XV===", HERE], b"-V requires two characters from -=+"),
], ids=range(17))
def test_refused(system, arguments, message):
    mta = system()
    done = sendmail(mta, *arguments)
    assert done.returncode == 75 and done.stderr.splitlines()[-1].startswith(b"sendmail: fatal: ") and message in done.stderr, done
    assert not mta.queued("maildrop", "incoming", "active", "deferred")


def test_modes_without_a_message(mta):
    """What start-up files of other systems call: the daemon, a host status that is not kept, and an interval without a mode."""
    instance = mta()
    for arguments in (["-bh"], ["-bH"], ["-q10m"], ["-bm", "-q1h"]):
        accepted(instance, *arguments)
    assert b"daemon mode requires no recipient" in sendmail(instance, "-bd", HERE).stderr
    done = sendmail(instance, "-bd", "-q1h", text="")
    assert done.returncode == 0, done
    instance.started = True
    wait_for(lambda: b"Mail queue is empty" in sendmail(instance, "-bp").stdout, what="queue manager")
    accepted(instance, "-q10m", HERE)
    delivered(instance)


def test_size_limit(system):
    mta = system(message_size_limit="1000")
    done = sendmail(mta, HERE, text="Subject: x\n\n" + "y" * 5000)
    assert done.returncode == 75 and done.stderr.endswith(b": message file too big\n")
    assert not mta.queued("maildrop")


def test_options(system):
    mta = system(transport_maps="inline:{{far.example=discard:done}}")
    for arguments in (["-oi", "-oem", "-om", "-odb"], ["-N", "success,failure", "-R", "hdrs", "-V", "id1"], ["-r", "r@client.example"],
                      ["-f", "<>"], ["-f", ""], ["-f", "Joe Doe <jd@client.example>"], ["-Am", "-G", "-h", "5", "-L", "x", "-U", "-n", "-m"], ["-B", "8BITMIME"]):
        accepted(mta, *arguments, "a@far.example")
    senders = [mta.wait_log(r"uid=\d+ from=<([^>]*)>", count=i + 1).group(1) for i in range(8)]
    assert sorted(senders) == sorted(["", "", "jd@client.example", "r@client.example"] + [pwd.getpwuid(os.getuid()).pw_name] * 4)
    done = sendmail(mta, "-N", "bogus", "-R", "bogus", "-f", "two words@x", "a@far.example")
    assert done.returncode == 0 and done.stderr.count(b"ignored") == 2 and b"malformed sender" in done.stderr


@exercises("sendmail_fix_line_endings")
@pytest.mark.parametrize("value,end,body", [
    ("always", "\r\n", b"\n\na\nb\n"), ("always", "\n", b"\n\na\nb\n"), ("strict", "\r\n", b"\n\na\nb\n"), ("strict", "\n", b"\n\na \nb \n"), ("never", "\n", b"\n\na \nb \n")])
def test_line_endings(system, value, end, body):
    """end: that of the first line."""
    mta = system(sendmail_fix_line_endings=value)
    accepted(mta, HERE, text="Subject: x" + end + end + "a\r\nb\r\n")
    assert delivered(mta)[0].endswith(body)


STATUS = {
    "virtual_alias_maps": "inline:{{team@test.example=one@there.example two@there.example}}", "default_destination_recipient_limit": "1",
    "transport_maps": "inline:{{there.example=discard:taken}, {gone.example=error:5.1.2 no such place}, {far.example=retry:4.2.2 later}}",
}


def actions(report):
    """Of a status report: {recipient: (action, status)}."""
    found = re.findall(rb"Final-Recipient: rfc822; (\S+)\n(?:.+\n)*?Action: (\w+)\nStatus: ([\d.]+)\n", report)
    return {r.decode(): (action.decode(), status.decode()) for r, action, status in found}


def test_report_of_what_would_be(system):
    """sendmail -bv: nothing is delivered, deferred or returned; the sender hears what would have been."""
    mta = system(**STATUS)
    done = sendmail(mta, "-bv", "-f", HERE, "team@test.example", "x@gone.example", "y@far.example", HERE)
    assert (done.returncode, done.stdout.decode()) == (0, "Mail Delivery Status Report will be mailed to <%s>.\n" % HERE)
    report, = delivered(mta)
    assert actions(report) == {"one@there.example": ("deliverable", "2.0.0"), "two@there.example": ("deliverable", "2.0.0"), "x@gone.example": ("undeliverable", "5.1.2"),
                               "y@far.example": ("undeliverable", "4.2.2"), HERE: ("deliverable", "2.0.0")}
    assert b"\nSubject: Mail Delivery Status Report\n" in report and b"<one@there.example> (expanded from <team@test.example>): taken\n" in report
    assert re.search(rb"\nSubject: probe\nTo: team@test.example,\s+x@gone.example,\s+y@far.example,", report)
    qid = mta.wait_log(r"(\w+): sender delivery status notification").group(1)
    mta.wait_log("%s: removed" % qid)
    mta.wait_log(r"%s: to=<x@gone.example>, .*status=undeliverable \(no such place\)" % qid)
    mta.wait_log(r"%s: to=<one@there.example>, .*status=deliverable \(taken\)" % qid)
    wait_for(lambda: not mta.queued(), what="an empty queue")
    assert len(mta.maildir(USER)) == 1
    assert sendmail(mta, "-bv").returncode == 75


def test_report_of_what_was(system):
    """sendmail -v: the first attempt is reported whole, then all goes on as ever."""
    mta = system(**STATUS)
    done = sendmail(mta, "-v", "-f", HERE, "team@test.example", "x@gone.example", "y@far.example")
    assert (done.returncode, done.stdout.decode()) == (0, "Mail Delivery Status Report will be mailed to <%s>.\n" % HERE)
    reports = {re.search(rb"\nSubject: (.*)\n", mail).group(1): actions(mail) for mail in delivered(mta, 2)}
    assert reports[b"Mail Delivery Status Report"] == {
        "one@there.example": ("delivered", "2.0.0"), "two@there.example": ("delivered", "2.0.0"), "x@gone.example": ("failed", "5.1.2"), "y@far.example": ("delayed", "4.2.2")}
    assert reports[b"Undelivered Mail Returned to Sender"] == {"x@gone.example": ("failed", "5.1.2")}
    mark = mta.log_size()
    assert sendmail(mta, "-q").returncode == 0
    mta.wait_log("to=<y@far.example>.*status=deferred", since=mark)
    wait_for(lambda: re.fullmatch(rb".*\n\w+ .*\n.*later\)\n.*\n\n-- .*1 Request.\n", sendmail(mta, "-bp").stdout), what="the end of the attempt\n" + mta.log())
    assert len(mta.maildir(USER)) == 2 and sum(b"Subject: Mail Delivery Status Report" in mail for mail in mta.maildir(USER)) == 1


def test_queue_listing_and_mailq(system):
    mta = system(transport_maps="inline:{{far.example=retry:4.2.2 later}}")
    accepted(mta, "-f", "s@client.example", "a@far.example")
    mta.wait_log("status=deferred")
    listing = wait_for(lambda: re.search(rb"(?s)\n\w+ .*later.*", sendmail(mta, "-bp").stdout), what="the end of the attempt").string
    assert b"s@client.example" in listing and b"a@far.example" in listing
    link = os.path.join(mta.directory, "mailq")
    os.symlink(os.path.join(BIN, "sendmail"), link)
    assert sendmail(mta, name=link).stdout == listing
    assert sendmail(mta, "-q").returncode == 0
    mta.wait_log("status=deferred", count=2)


@exercises("alias_database", "command_directory")
def test_aliases_are_made_by_postalias(mta, tmp_path):
    helper = tmp_path / "bin" / "postalias"
    helper.parent.mkdir()
    helper.write_text("#!/bin/sh\necho \"$@\"\n")
    helper.chmod(0o755)
    instance = mta({"alias_database": "lmdb:/a/b, texthash:/c", "command_directory": str(helper.parent)})
    link = str(tmp_path / "newaliases")
    os.symlink(os.path.join(BIN, "sendmail"), link)
    for arguments, name in (([], link), (["-bi"], "sendmail"), (["-I"], "sendmail")):
        assert sendmail(instance, *arguments, name=name).stdout == b"-- lmdb:/a/b texthash:/c\n"
    assert sendmail(instance, "-bi", "-oAlmdb:/x").stdout == b"-- lmdb:/x\n"
    for mode, words in (("-bi", b"alias initialization mode"), ("-bp", b"display queue mode"), ("-q", b"flush queue mode"), ("-qIabc", b"flush queue_id"), ("-bs", b"stand-alone mode")):
        done = sendmail(instance, mode, "user")
        assert done.returncode == 75 and b"fatal: %s requires no recipient" % words in done.stderr
    assert sendmail(instance, "-bi", "-oA,").stdout == b""
    helper.unlink()
    done = sendmail(instance, "-bi")
    assert done.returncode == 75 and b"fatal: execute" in done.stderr


def test_mail_is_taken_while_the_system_is_down(mta):
    instance = mta().start()
    instance.stop()
    accepted(instance, HERE)
    assert len(instance.queued("maildrop")) == 1
    instance.start()
    assert len(delivered(instance)) == 1
    wait_for(lambda: not instance.queued("maildrop"))


def frame(kind, *fields):
    body = b"".join(struct.pack("<BI", tag, len(value)) + value for tag, value in fields)
    return struct.pack("<IH", len(body) + 2, kind) + body


CONTENT, ENVELOPE = 64, 65
GOOD = frame(CONTENT, (1, b"Subject: x\r\n\r\nb\r\n")) + frame(ENVELOPE, (1, b"s@x.example"), (8, HERE.encode()))


def postdrop(instance, data):
    return subprocess.run([os.path.join(BIN, "postdrop"), "-r"], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                          env=dict(os.environ, MAIL_CONFIG=instance.config))


@pytest.mark.parametrize("data", [
    b"", b"x", GOOD[:-1], GOOD[:40], frame(99), b"\xff" * 12, struct.pack("<IH", 0x7fffffff, 64) + b"abc",
    frame(ENVELOPE), frame(ENVELOPE, (1, b"s@x")), frame(ENVELOPE, (1, b"s\n@x"), (8, b"r@x")), frame(ENVELOPE, (1, b"s@x"), (8, b"r\rx@x")),
    frame(ENVELOPE, (1, b"s@x"), (2, b"na\nme"), (8, b"r@x")), frame(ENVELOPE, (1, b"s@x"), (3, b"en\0v"), (8, b"r@x")),
    frame(ENVELOPE, (1, b"s@x"), (8, b"r" * 2000 + b"@x")), frame(ENVELOPE, (6, struct.pack("<Q", 77)), (8, b"r@x")),
    struct.pack("<IHBI", 7, 65, 1, 0xffffffff),
], ids=range(16))
def test_malformed_submission(system, data):
    mta = system()
    done = postdrop(mta, data)
    assert done.returncode == 75, done
    assert not mta.queued("maildrop", "incoming", "active")


def test_helper_accepts_a_good_stream_and_takes_no_modes_from_users(system):
    mta = system()
    done = postdrop(mta, GOOD.replace(b"", b"", 1))
    assert done.returncode == 0 and not done.stderr
    delivered(mta)


def test_interrupted_helper_leaves_nothing(system):
    mta = system()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        child = subprocess.Popen([os.path.join(BIN, "postdrop"), "-r"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=dict(os.environ, MAIL_CONFIG=mta.config))
        child.stdin.write(b"".join(frame(CONTENT, (1, b"x" * 60000)) for _ in range(20)))
        child.stdin.flush()
        wait_for(lambda: os.listdir(os.path.join(mta.queue, "maildrop")), what="the beginning of a file")
        child.send_signal(number)
        assert child.wait(PATIENCE * SLOW) == 75
        child.stdin.close()
    assert not os.listdir(os.path.join(mta.queue, "maildrop"))


def test_message_that_may_not_enter_comes_back(system):
    mta = system(hopcount_limit="3")
    accepted(mta, "-f", HERE, "a@far.example", text="".join("Received: x\n" for _ in range(10)) + "Subject: hops\n\nb\n")
    mail, = delivered(mta)
    assert mail.startswith(b"Return-Path: <>\n") and b"a@far.example" in mail and b"5.4.0" in mail
    wait_for(lambda: not mta.queued("maildrop"))


@exercises("header_checks")
@pytest.mark.parametrize("text,status,reason", [("A: b\n\n", "5.7.1", "no"), ("Received: x\n" * 60 + "\n", "5.4.0", "too many hops")])
def test_log_of_a_message_that_may_not_enter(system, text, status, reason):
    """One id in all lines about it; a line for each recipient, as programs that read logs know them; and nothing when sendmail itself gives up."""
    instance = system(header_checks="regexp:{{/^A/ REJECT no}}")
    accepted(instance, "-f", HERE, "u@far.example", "v@far.example", text=text)
    qid = instance.wait_log(r"pickup\[\d+\]: (\w+): uid=").group(1)
    instance.wait_log(r"bounce\[\d+\]: %s: sender non-delivery notification: " % qid)
    for address in ("u@far.example", "v@far.example"):
        assert re.search(r"cleanup\[\d+\]: %s: to=<%s>, relay=none, delay=[\d.]+, delays=[\d.]+/0/0/0, dsn=%s, status=bounced \(%s\)" % (qid, address, status, reason), instance.log())
    assert b"Queue-ID: %s\n" % qid.encode() in delivered(instance)[0]
    assert sendmail(instance, "-t", text="X: y\n\n").returncode == 75
    assert not re.search("postdrop.*warning", instance.log())


def test_garbage_in_maildrop_is_removed(system):
    mta = system()
    path = os.path.join(mta.queue, "maildrop", "ABCDEF01234")
    with open(path, "wb") as f:
        f.write(os.urandom(3000))
    accepted(mta, HERE)
    delivered(mta)
    wait_for(lambda: not os.path.exists(path), what="removal\n" + mta.log())


@pytest.mark.skipif(not ROOT_USER or "POSTERN_SANITIZER" in os.environ, reason="needs root, and more rights than sanitizers bear")
def test_other_users_configuration_only_when_named(mta, tmp_path):
    """A set-group-id helper does not take orders from a directory of its caller."""
    instance = mta()
    helper = os.path.join(instance.directory, "postdrop")
    subprocess.run(["install", "-m", "2755", "-g", instance.main["setgid_group"], os.path.join(BIN, "postdrop"), helper], check=True)
    done = subprocess.run(["setpriv", "--reuid=1", "--regid=1", "--clear-groups", helper, "-r", "-c", instance.config], input=GOOD, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 75 and b"no" in done.stdout.lower()


def test_smtp_on_standard_input(mta):
    """sendmail -bs: a dialogue without access control, whose mail goes through the maildrop."""
    instance = mta({"smtpd_recipient_restrictions": "reject", "alias_maps": ""}).start()
    said = "EHLO c\nMAIL FROM:<s@client.example>\nRCPT TO:<nobody-here@test.example>\nDATA\nSubject: bs\n\n..dot\n.\nMAIL FROM:<a@b> SIZE=99999999\nQUIT\n"
    done = instance.command("sendmail", "-bs", input=said)
    replies = done.stdout.split("\n")
    assert replies[0].startswith("220 mail.test.example") and "250-XCLIENT" not in done.stdout
    queued = re.search(r"250 2.0.0 Ok: queued as (\w+)\n552 5.3.4 Message size exceeds fixed limit\n221 2.0.0 Bye", done.stdout)
    assert queued, done.stdout
    instance.wait_log(r"pickup\[\d+\]: \w+: uid=\d+ from=<s@client.example>")
    instance.wait_log(r"to=<nobody-here@test.example>, relay=local")


def test_flush_takes_the_maildrop_too(mta, tmp_path):
    """What pickup had to leave there, for want of a table, does not wait for its next round."""
    basic = re.sub(r"(?m)^(pickup .*\S) +1 +1 +pickup$", r"\1 0 1 pickup", MASTER)  # it never wakes up by itself
    assert basic != MASTER
    os.chmod(tmp_path, 0o755)
    instance = mta({"canonical_maps": "texthash:%s" % (tmp_path / "names")}, basic=basic).start()
    instance.command("sendmail", "-f", "s@client.example", HERE, input="Subject: x\n\ny\n")
    instance.wait_log("canonical_maps map lookup problem")
    (tmp_path / "names").write_text("other@test.example third@test.example\n")

    def delivered():
        instance.command("postqueue", "-f", check=False)
        return instance.maildir(USER)
    wait_for(delivered, 30, "delivery")
