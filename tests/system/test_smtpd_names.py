"""Keys by the name that the client asks for (tls_server_sni_maps). tests/differential/test_server_names.py asks Debian's Postfix the rows."""
import re
import ssl
import subprocess

import pytest

from postern import Client, exercises
from test_smtpd_tls import MAIN, V12, keys, with_keys  # noqa: F401

MAPS = {"tls_server_sni_maps": "inline:{ {one.example=$keys/ec.all} {.two.example=$keys/three.all, $keys/rsa.all} {bad.example=$keys/ca.pem} {empty.example=$keys/nothing} }"}
FAILING = {"tls_server_sni_maps": "fail:x"}
DEFAULT = ("rsa", "")
NOT_MATCHED = r"TLS SNI %s from unknown\[127.0.0.1\] not matched, using default chain"
INVALID = r"warning: TLS SNI from unknown\[127.0.0.1\] is invalid: %s"
# Settings, the name that is asked for, highest version, whose certificate and which name in the log, and what else is logged.
ROWS = [
    (MAPS, None, None, DEFAULT, None),
    (MAPS, "one.example", None, ("ec", "one.example"), None),
    (MAPS, "one.example", V12, ("ec", "one.example"), None),
    (MAPS, "ONE.Example", None, ("ec", "ONE.Example"), None),
    (MAPS, "sub.one.example", None, DEFAULT, NOT_MATCHED % "sub.one.example"),
    (MAPS, "two.example", None, DEFAULT, NOT_MATCHED % "two.example"),
    (MAPS, "a.two.example", None, ("three", "a.two.example"), None),
    (MAPS, "a.b.two.example", V12, ("three", "a.b.two.example"), None),
    (MAPS, "1.2.3.4", None, DEFAULT, INVALID % "1.2.3.4"),
    (MAPS, "-..-", None, DEFAULT, INVALID % "-..-"),
    (MAPS, "bad.example", None, None, "SSL_accept error from "),
    (MAPS, "empty.example", None, None, "SSL_accept error from "),
    (FAILING, None, None, DEFAULT, None),
    (FAILING, "one.example", None, None, "warning: tls_server_sni_maps: one.example map lookup problem"),
    ({}, "one.example", None, DEFAULT, None),
]
LISTENERS = {"maps": MAPS, "failing": FAILING, "none": {}}


@pytest.fixture(scope="session")
def names(keys):  # noqa: F811
    subprocess.run("openssl ecparam -name prime256v1 -genkey -noout -out three.key && openssl req -x509 -new -key three.key -subj /CN=three -days 3 -out three.pem &&"
                   " cat three.key three.pem > three.all && echo nothing > nothing", shell=True, cwd=keys, check=True)
    return keys


def listeners_for(keys):  # noqa: F811
    return {name: dict(with_keys(options, keys), smtpd_banner="sink ESMTP") for name, options in LISTENERS.items()}


def listener_of(options):
    return next(name for name, listed in LISTENERS.items() if listed == options)


def ask(instance, keys, options, name, version):  # noqa: F811
    """(common name of the certificate, name in the log), or None when there is no session; and the log of it."""
    mark = instance.log_size()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    for ca in ("ca.pem", "three.pem"):
        context.load_verify_locations(keys / ca)
    if version:
        context.maximum_version = version
    with Client(instance.ports[listener_of(options)]) as c:
        c.expect(250, "EHLO c.example")
        c.expect(220, "STARTTLS")
        try:
            c.socket = context.wrap_socket(c.socket, server_hostname=name)
            c.expect(250, "EHLO c.example")
        except (OSError, AssertionError):
            found = None
        else:
            found = dict(pair[0] for pair in c.socket.getpeercert()["subject"])["commonName"]
            c.expect(221, "QUIT")
    instance.wait_log("disconnect from", since=mark)  # the whole session
    if found is None:
        instance.wait_log("SSL_accept error from", since=mark)
        return None, instance.log(mark)
    m = instance.wait_log(r"Anonymous TLS connection established from unknown\[127.0.0.1\](?: to (\S+))?: ", since=mark)
    return (found, m.group(1) or ""), instance.log(mark)


def wrong_rows(instance, keys):  # noqa: F811
    wrong = []
    for options, name, version, expected, said in ROWS:
        if name in ("1.2.3.4", "-..-"):
            found, log = ask_by_library(instance, options, name)
        else:
            found, log = ask(instance, keys, options, name, version)
        if found != expected or (said and not re.search(said, log)) or (not said and "SNI" in log):
            wrong.append("%s: %s, expected %s and %s:\n%s" % (name, found, expected, said, log))
    return "\n".join(wrong)


def ask_by_library(instance, options, name):
    """Names that are none, by openssl."""
    mark = instance.log_size()
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % instance.ports[listener_of(options)], "-starttls", "smtp", "-servername", name],
                          input="QUIT\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="latin1", timeout=120)
    instance.wait_log("disconnect from", since=mark)
    m = instance.wait_log(r"Anonymous TLS connection established from unknown\[127.0.0.1\](?: to (\S+))?: ", since=mark)
    return (re.search(r"subject=CN = (\w+)", done.stdout).group(1), m.group(1) or ""), instance.log(mark)


@exercises("tls_server_sni_maps")
def test_rows(mta, names):
    instance = mta(with_keys(MAIN, names), services=listeners_for(names)).start()
    wrong = wrong_rows(instance, names)
    assert not wrong, wrong


def test_built_table(mta, names, tmp_path):
    """postmap -F puts the files themselves into the table; who has only the default's kind of key gets no other name's."""
    instance = mta(with_keys(MAIN, names))
    source = tmp_path / "sni"
    source.write_text("one.example %s\n" % (names / "ec.all"))
    instance.command("postmap", "-F", "lmdb:%s" % source)
    instance.set(tls_server_sni_maps="lmdb:%s" % source)
    instance.start()
    for ciphers, expected in (("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384", "ec"), ("ECDHE-RSA-AES256-GCM-SHA384", None)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.maximum_version = False, V12
        context.load_verify_locations(names / "ca.pem")
        context.set_ciphers(ciphers)
        with Client(instance.port) as c:
            c.expect(250, "EHLO c.example")
            c.expect(220, "STARTTLS")
            try:
                c.socket = context.wrap_socket(c.socket, server_hostname="one.example")
                found = dict(pair[0] for pair in c.socket.getpeercert()["subject"])["commonName"]
            except OSError:
                found = None
        assert found == expected
