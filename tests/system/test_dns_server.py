"""MX records from a real DNS server (dnsmasq) on the namespace's own loopback."""
import shutil
import socket
import subprocess

import pytest

from postern import Sink, exercises, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")

RECORDS = [
    "--mx-host=far.example,first.far.example,10", "--mx-host=far.example,second.far.example,20",
    "--host-record=first.far.example,127.0.0.2", "--host-record=second.far.example,127.0.0.3",
    "--mx-host=dead.example,dead.far.example,5", "--mx-host=dead.example,second.far.example,20", "--host-record=dead.far.example,127.0.0.9",
    "--mx-host=loop.example,mail.test.example,10", "--host-record=mail.test.example,127.0.0.1",
    "--host-record=plain.example,127.0.0.2", "--cname=alias.example,plain.example",
]


def answers():
    """A query for the root's NS that gets any answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        s.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1", ("127.0.0.1", 53))
        try:
            return s.recv(512)
        except OSError:
            return None


@pytest.fixture
def world(mta):
    server = subprocess.Popen(["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
                               "--user=root", "--pid-file", "--local=/example/", *RECORDS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(answers, 10, "an answer of dnsmasq")
    sinks = [Sink("127.0.0.2", 25), Sink("127.0.0.3", 25)]
    yield mta().start(), *sinks
    for sink in sinks:
        sink.close()
    server.kill()
    server.wait()


@exercises("smtp_host_lookup", "disable_dns_lookups")
def test_the_preferred_host_gets_the_mail(world):
    ours, first, second = world
    for i in range(5):
        ours.send(recipients=["user%d@far.example" % i])
    first.wait(5)
    assert not second.mails
    ours.wait_log(r"relay=first\.far\.example\[127\.0\.0\.2\]:25, .*status=sent", count=5)


def test_the_next_host_when_the_first_is_dead(world):
    ours, _, second = world
    ours.send(recipients=["user@dead.example"])
    second.wait(1)
    ours.wait_log(r"connect to dead\.far\.example\[127\.0\.0\.9\]:25: Connection refused")
    ours.wait_log(r"relay=second\.far\.example\[127\.0\.0\.3\]:25, .*status=sent")


def test_a_name_without_mx_and_an_alias(world):
    ours, first, _ = world
    ours.send(recipients=["user@plain.example"])
    ours.send(recipients=["user@alias.example"])
    first.wait(2)


def test_names_that_do_not_exist_and_mail_for_ourselves(world):
    ours, _, _ = world
    ours.send(recipients=["user@nowhere.example"])
    ours.wait_log(r"to=<user@nowhere\.example>.*dsn=5\.4\.4, status=bounced \(Host or domain name not found")
    ours.send(recipients=["user@loop.example"])
    ours.wait_log(r"to=<user@loop\.example>.*status=bounced \(mail for loop\.example loops back to myself\)")
