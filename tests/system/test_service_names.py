"""Services of master.cf that go by other names than usual: who talks to whom, and whose -o settings hold for reports."""
import re

from postern import MASTER, exercises, wait_for
from test_qmgr_retry import OPEN, routes, sink  # noqa: F401

RENAMED = (("qmgr", "manager"), ("pickup", "collector"), ("error", "failure"))


@exercises("queue_service_name", "pickup_service_name", "error_service_name")
def test_other_names(mta):
    """sendmail wakes the one that collects, everyone tells the queue manager at once, commands ask it, and what has no route goes to the service that refuses."""
    basic = re.sub(r"(?m)^(pickup .*\S) +1 +1 +pickup$", r"\1 0 1 pickup", MASTER)  # it never wakes up by itself
    assert basic != MASTER
    for usual, name in RENAMED:
        basic = re.sub("(?m)^%s " % usual, name + " ", basic)
    instance = mta({"queue_service_name": "manager", "pickup_service_name": "collector", "error_service_name": "failure", "virtual_alias_domains": "alias.example",
                    "queue_run_delay": "3000s", "fast_flush_domains": "a.example", "defer_transports": "smtp"}, basic=basic).start()
    wait_for(lambda: instance.command("postqueue", "-p", check=False).stdout == "Mail queue is empty\n", what="queue manager")
    instance.command("sendmail", "-f", "s@client.example", "nobody@test.example", input="Subject: x\n\ny\n")
    instance.send(recipients=["nobody@test.example"])
    wait_for(lambda: len(instance.maildir("nobody")) == 2, what="delivery")
    instance.command("sendmail", "-f", "s@test.example", "u@alias.example", input="Subject: x\n\ny\n")
    instance.wait_log("to=<u@alias.example>, relay=none, .*status=bounced.*User unknown in virtual alias table")
    with instance.client() as c:
        c.expect(250, "EHLO client.example")
        c.expect(250, "ETRN a.example")
        c.expect(250, "MAIL FROM:<s@client.example>")
        c.expect(550, "RCPT TO:<u@alias.example>")
    queue_id = instance.send(recipients=["u@a.example"])
    instance.wait_log("%s: .*status=deferred" % queue_id)
    for arguments in (["-f"], ["-s", "a.example"], ["-i", queue_id]):
        instance.command("postqueue", *arguments)
    instance.command("postsuper", "-d", queue_id)
    wait_for(lambda: queue_id not in instance.command("postqueue", "-j").stdout, what="end of the message")


REPORTERS = """\
failures  unix  -  -  n  -  0  bounce -o myhostname=failures.example -o bounce_template_file=%s
delays    unix  -  -  n  -  0  bounce -o myhostname=delays.example
traces    unix  -  -  n  -  0  bounce -o myhostname=traces.example
"""


@exercises("bounce_service_name", "defer_service_name", "trace_service_name", "bounce_template_file")
def test_settings_of_reports(mta, sink, tmp_path):  # noqa: F811
    """Of the queue manager, of local delivery and of pickup."""
    templates = tmp_path / "templates"
    templates.write_text("failure_template = <<EOF\nSubject: Own subject\n\nOwn text\nEOF\n")
    templates.chmod(0o644)
    far, home = sink(rules={"RCPT": lambda text: "550 5.1.1 no" if "bad" in text else "450 4.2.0 later" if "late" in text else "250 2.1.5 ok"}, keywords=["PIPELINING"]), sink()
    instance = mta(dict(OPEN, transport_maps=routes(far=far, home=home), bounce_service_name="failures", defer_service_name="delays", trace_service_name="traces", delay_warning_time="1s",
                        alias_maps="inline:{list=nosuchuser}", mydestination="test.example", header_checks="pcre:{{/^Subject: refused/ REJECT no}}"), master=REPORTERS % templates).start()
    with instance.client() as c:
        c.expect(250, "EHLO client.example")
        for user in ("bad", "late", "good"):
            c.expect(250, "MAIL FROM:<%s@home.example>" % user)
            c.expect(250, "RCPT TO:<%s@far.example> NOTIFY=FAILURE,DELAY,SUCCESS" % user)
            c.data("Subject: x\r\n\r\nx\r\n")
        c.expect(250, "MAIL FROM:<alias@home.example>")
        c.expect(250, "RCPT TO:<list@test.example>")
        c.data("Subject: x\r\n\r\nx\r\n")
    instance.command("sendmail", "-f", "asked@home.example", "-bv", "good@far.example")
    instance.command("sendmail", "-f", "refused@home.example", "good@far.example", input="Subject: refused\n\nx\n")
    reporters = {"bad": b"failures", "late": b"delays", "good": b"traces", "alias": b"failures", "asked": b"traces", "refused": b"failures"}
    reports = {re.match("<(.*?)@", mail["recipients"][0]).group(1): mail["data"] for mail in home.wait(len(reporters))}
    assert set(reports) == set(reporters)
    for user, reporter in reporters.items():
        assert b"\r\nReporting-MTA: dns; %s.example\r\n" % reporter in reports[user], reports[user]
        assert (b"\r\nSubject: Own subject\r\n" in reports[user] and b"\r\nOwn text\r\n" in reports[user]) == (reporter == b"failures"), reports[user]
