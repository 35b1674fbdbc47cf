"""The rows of tests/system/test_tls_policies.py before Debian's Postfix, and what both log of servers with which TLS fails."""
import os
import re
import ssl
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtp_client import CLIENT, dns, outcome  # noqa: E402, F401
from test_smtp_tls import ZONE, keys, server  # noqa: E402, F401
from test_tls_policies import ROWS, settings, transports, wrong_rows  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def comparable(row):
    """Postfix finds an unknown grade in the handshake, reuses connections by another process, and calls a chain untrusted whose certificate is not the one that
    was demanded."""
    return row[0] not in ("verify ciphers=hihg", "verify connection_reuse=YES") and not (row[3].startswith("Trusted") and "sent" not in row[2])


def test_rows(tmp_path, dns, keys, server):  # noqa: F811
    dns(ZONE)
    server()
    rows = list(filter(comparable, ROWS))
    master, table = transports(rows, keys)
    instance = postfix.Instance(str(tmp_path / "neighbour"), settings(keys, table), master=master)
    instance.start()
    try:
        wrong = wrong_rows(instance, rows)
    finally:
        instance.stop(check=False)
    assert not wrong, wrong


CA = {"smtp_tls_CAfile": "$keys/ca.pem"}
# Settings, and what the server does.
FAILURES = [
    ({"smtp_tls_security_level": "may"}, {"trick": "garbage"}),
    ({"smtp_tls_security_level": "may", "smtp_tls_protocols": ">=TLSv1.3"}, {"versions": ssl.TLSVersion.TLSv1_2}),
    ({"smtp_tls_security_level": "may"}, {"name": "self"}), ({"smtp_tls_security_level": "encrypt"}, {"name": "self"}),
    ({"smtp_tls_security_level": "verify"}, {"name": "self"}), ({"smtp_tls_security_level": "verify"}, {}),
    (dict(CA, smtp_tls_security_level="verify"), {"name": "domain"}), (dict(CA, smtp_tls_security_level="verify"), {}),
    (dict(CA, smtp_tls_security_level="secure"), {}),
]
LINES = r"smtp\[\d+\]: ((?:SSL_connect error|warning: TLS library|.*verification failed|\w+ TLS connection).*)"


def logged(instance):
    """The place in the library's source and, after a name that is not the server's, the word for the chain are each side's own."""
    lines = [re.sub(r"(:SSL routines::[^:]*):.*", r"\1", line) for line in re.findall(LINES, instance.log())]
    return [line for i, line in enumerate(lines) if i == 0 or "hostname mismatch" not in lines[i - 1]]


@pytest.mark.parametrize("main, how", FAILURES)
def test_failures(tmp_path, dns, keys, server, main, how):  # noqa: F811
    dns(ZONE)
    server(**how)
    found = []
    for kind in (postern, postfix):
        instance = kind.Instance(str(tmp_path / kind.__name__), {p: v.replace("$keys", str(keys)) for p, v in dict(CLIENT, smtp_tls_loglevel="1", **main).items()})
        instance.start()
        try:
            instance.send(sender="", recipients=["u@dest.example"])
            outcome(instance, "u@dest.example", seconds=30)
            found.append(logged(instance))
        finally:
            instance.stop(check=False)
    assert found[0] == found[1]
