"""pipe(8): mail for commands that master.cf names."""
import glob
import os
import re

import pytest

from postern import ROOT_USER, exercises, wait_for

pytestmark = pytest.mark.skipif(not ROOT_USER, reason="needs another user to run commands as")

SCRIPT = '#!/bin/sh\nout=%s/out.$1\n(id -un; id -gn; pwd; for a; do echo "[$a]"; done; env; echo; cat) >$out.new\nmv $out.new $out\n'


@pytest.fixture
def pipe(mta):
    def make(attributes, **main):
        """The services of {name: attributes}; NAME.example goes there. @ is the script, which writes what it got to out.NAME."""
        instance = mta(dict({
            "recipient_delimiter": "+", "relay_domains": ", ".join(name + ".example" for name in attributes), "notify_classes": "",
            "transport_maps": "inline:{%s}" % ", ".join("{%s.example=%s:}" % (name, name) for name in attributes), "default_transport": "discard:",
        }, **main))
        instance.out = os.path.join(instance.directory, "out")
        os.mkdir(instance.out)
        os.chmod(instance.out, 0o777)
        script = os.path.join(instance.directory, "script")
        with open(script, "w") as f:
            f.write(SCRIPT % instance.out)
        os.chmod(script, 0o755)
        instance.extra += "".join("%s unix - n n - 2 pipe\n  %s\n" % (name, text.replace("@", script)) for name, text in attributes.items())
        instance.write_config()
        return instance.start()
    return make


def lines(instance, sender, recipients, body="Subject: x\r\n\r\nbody\r\n.dot\r\nFrom x\r\n"):
    """The log lines of the deliveries, when all are done or deferred."""
    qid = instance.send(sender, recipients, body)
    wait_for(lambda: re.search(r"%s: removed" % qid, instance.log()) or qid in instance.queued("deferred"), 30, "%s\n%s" % (qid, instance.log()))
    return re.findall(r"%s: to=<([^>]*)>.*relay=(\w+), .*dsn=([\d.]+), status=(\w+) \((.*)\)" % qid, instance.log())


@exercises("export_environment")
def test_command_gets_arguments_and_message(pipe):
    mta = pipe({"p": "user=daemon argv=@ p ${sender} ${recipient} -u $user -x $(extension) $domain $nexthop $queue_id $$x $client_address { a  b } x${mailbox}y"},
               p_destination_recipient_limit="10", export_environment="TZ A=b")
    found = lines(mta, "s@client.example", ["U+Ext@p.example", '"a b"@p.example'])
    assert sorted(line[0] for line in found) == ['"a b"@p.example', "U+Ext@p.example"]
    assert {line[1:] for line in found} == {("p", "2.0.0", "sent", "delivered via p service")}
    text = open(mta.out + "/out.p").read()
    head, message = text.split("\n\n", 1)
    rows = head.split("\n")
    assert rows[:3] == ["daemon", "daemon", mta.queue]
    arguments = [row[1:-1] for row in rows if row.startswith("[")]
    assert arguments[:3] == ["p", "s@client.example", "U+Ext@p.example"] or arguments[2] == "a b@p.example"
    assert sorted(arguments[2:4]) == ["U+Ext@p.example", "a b@p.example"]
    assert sorted(arguments[5:7]) == ["U", "a b"] and sorted(arguments[8:10]) == ["", "Ext"]
    assert arguments[10:12] == ["p.example", "p.example"] and "$x" in arguments and "127.0.0.1" in arguments and "a  b" in arguments
    assert "A=b" in rows and "PATH=/usr/bin:/bin" in rows and not [row for row in rows if row.startswith("HOME=")]
    assert message.startswith("Received: ") and message.endswith("\n\nbody\n.dot\nFrom x\n")


def test_flags(pipe):
    mta = pipe({"p": "flags=BDFORXhqu.> user=daemon:nogroup directory=/ eol=\\r\\n argv=@ p ${sender} ${recipient} ${user} ${domain}",
                "q": "flags=FR user=daemon null_sender= argv=@ q -f ${sender} --"}, p_destination_recipient_limit="1")
    lines(mta, '"S p"@Client.Example', ['"A b+C"@P.Example'])
    head, message = open(mta.out + "/out.p", newline="").read().split("\n\n", 1)
    assert head.startswith('daemon\nnogroup\n/\n[p]\n["S p"@Client.Example]\n["a b+c"@p.example]\n[a b]\n[p.example]\n')
    assert re.match(r'From "S p"@Client.Example  \w{3} .*\r\nReturn-Path: <"S p"@Client.Example>\r\nX-Original-To: "A b\+C"@P.Example\r\n'
                    r'Delivered-To: "A b\+C"@P.Example\r\nReceived: ', message)
    assert message.endswith("\r\n\r\nbody\r\n..dot\r\n>From x\r\n\r\n") and not re.search("[^\r]\n", message)
    lines(mta, "", ["b@q.example"])
    head, message = open(mta.out + "/out.q").read().split("\n\n", 1)
    assert "[q]\n[-f]\n[]\n[--]\n" in head and "\nReturn-Path: <>\n" in message


@exercises("enable_original_recipient")
def test_no_header_for_original_recipients(pipe):
    mta = pipe({"p": "flags=OD user=daemon argv=@ p ${original_recipient}"}, enable_original_recipient="no", virtual_alias_maps="inline:{a@x.example=b@p.example}")
    lines(mta, "", ["a@x.example"])
    head, message = open(mta.out + "/out.p").read().split("\n\n", 1)
    assert "[a@x.example]\n" in head and message.startswith("Delivered-To: b@p.example\n")


def test_option_like_and_empty_parts_stay_arguments(pipe):
    mta = pipe({"p": "user=daemon argv=@ p -f ${sender} -- -u ${user} -x ${extension} -m ${mailbox}"})
    with mta.client() as c:
        c.expect(250, "EHLO x")
        c.expect(250, "MAIL FROM:<>")
        c.expect(250, "RCPT TO:<+ext@p.example>")
        c.data("Subject: x\r\n\r\nx\r\n")
    wait_for(lambda: os.path.exists(mta.out + "/out.p"), 30, "the command")
    rows = re.findall(r"(?m)^\[(.*)\]$", open(mta.out + "/out.p").read())
    assert rows == ["p", "-f", "MAILER-DAEMON", "--", "-u", "+ext", "-x", "", "-m", "+ext"]


@pytest.mark.parametrize("attributes,status,action,text", [
    ("argv=/bin/sh -c {echo out  put; exit 0}", "2.0.0", "sent", "delivered via p service (out put)"),
    ("argv=/bin/sh -c {echo 5.7.9 no; exit 3}", "5.7.9", "bounced", "no "),
    ("argv=/bin/sh -c {exit 75}", "4.3.0", "deferred", "temporary failure"),
    ("argv=/bin/sh -c {exit 67}", "5.1.1", "bounced", "user unknown"),
    ("argv=/bin/sh -c {exit 3}", "5.3.0", "bounced", 'Command died with status 3: "/bin/sh"'),
    ("argv=/bin/sh -c {kill -9 $$$$}", "4.3.0", "deferred", 'Command died with signal 9: "/bin/sh"'),
    ("argv=/no/such/cmd", "4.3.0", "deferred", "temporary failure. Command output: pipe: fatal: pipe_command: execvp /no/such/cmd: No such file or directory "),
    ("directory=/no/such/dir argv=/bin/true", "4.3.0", "deferred", "temporary failure"),
    ("chroot=/no/such/dir argv=/bin/true", "4.3.0", "deferred", "temporary failure"),
    ("size=300 argv=/bin/true", "5.2.3", "bounced", "message too large"),
    ("argv=/bin/true ${nosuch}", "4.3.5", "deferred", "mail system configuration error"),
    ("flags=D argv=/bin/true", "5.4.6", "bounced", "mail forwarding loop for X+y@p.example"),
])
@exercises("recipient_delimiter")
def test_outcomes(pipe, attributes, status, action, text):
    mta = pipe({"p": "user=daemon " + attributes}, p_destination_recipient_limit="1")
    assert lines(mta, "s@client.example", ["X+y@p.example"], "Delivered-To: x+Y@P.example\r\nSubject: x\r\n\r\n" + "x" * 400 + "\r\n") == [
        ("X+y@p.example", "p", status, action, text)]


@exercises("command_time_limit")
def test_time_limit(pipe):
    mark = "97531.%d" % os.getpid()
    mta = pipe({"p": "user=daemon argv=/bin/sh -c {trap true TERM; sleep %s & sleep %s; sleep %s}" % (mark, mark, mark)}, command_time_limit="500s", p_time_limit="1s")
    assert lines(mta, "s@client.example", ["a@p.example"])[0][2:] == ("4.3.0", "deferred", 'Command time limit exceeded: "/bin/sh"')
    wait_for(lambda: not running(mark), 30, "the command's children are killed")


def running(mark):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if b"sleep\0" + mark.encode() in open(path, "rb").read():
                return True
        except OSError:
            pass
    return False


@exercises("pipe_delivery_status_filter")
def test_status_filter(pipe):
    mta = pipe({"p": "user=daemon argv=/bin/true"}, pipe_delivery_status_filter="inline:{{2.0.0 delivered via p service=2.1.5 through}}")
    assert lines(mta, "s@client.example", ["a@p.example"])[0][2:] == ("2.1.5", "sent", "through")


@pytest.mark.parametrize("attributes,text", [
    ("user=root argv=/bin/true", "user= command-line attribute specifies root privileges"), ("argv=/bin/true", "missing user= command-line attribute"),
    ("user=daemon:root argv=/bin/true", "privileged group id 0"), ("user=daemon", "missing argv= command-line attribute"),
    ("user=daemon flags=Z argv=/bin/true", "unknown flag: Z"),
])
def test_bad_attributes_stop_the_service_and_mail_waits(pipe, attributes, text):
    mta = pipe({"p": attributes})
    mta.send("s@client.example", ["a@p.example"])
    mta.wait_log("fatal: .*" + text, 30)
    assert len(mta.queued()) == 1


def test_a_command_that_reads_nothing_and_a_large_message(pipe):
    mta = pipe({"p": "user=daemon argv=/bin/true", "q": "user=daemon argv=/bin/cat"})
    body = "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 20000
    assert lines(mta, "s@client.example", ["a@p.example"], body)[0][2:] == ("2.0.0", "sent", "delivered via p service")
    assert lines(mta, "s@client.example", ["a@q.example"], body)[0][2:4] == ("2.0.0", "sent")


def test_several_recipients_do_not_go_with_delivered_to(pipe):
    mta = pipe({"p": "flags=D user=daemon argv=/bin/true"}, p_destination_recipient_limit="5")
    assert {line[2:] for line in lines(mta, "s@client.example", ["a@p.example", "b@p.example"])} == {("4.3.5", "deferred", "mail system configuration error")}
