"""TLS sessions that are taken up again, by Debian's Postfix and by us: the rows of tests/system/test_tls_resumption.py, and what is logged of them."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtp_client import dns, outcome  # noqa: E402, F401
from test_smtp_tls import ZONE  # noqa: E402
from test_smtp_tls import keys as client_keys  # noqa: E402, F401
from test_smtpd_tls import ASK, MAIN, keys, listeners, with_keys  # noqa: E402, F401
from test_tls_resumption import KEPT, NEW, OLD, ROWS, V12, V13, Caller, server, wrong_rows  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")
SHARED = {"smtpd_tls_session_cache_database", "tls_session_ticket_cipher"}  # one process has them for all listeners there


@pytest.mark.parametrize("shared", sorted({tuple(sorted((p, v) for p, v in options.items() if p in SHARED)) for options, _, _ in ROWS}))
def test_rows(tmp_path, keys, shared):  # noqa: F811
    rows = [row for row in ROWS if tuple(sorted((p, v) for p, v in row[0].items() if p in SHARED)) == shared]
    services, of_row = listeners(rows, keys)
    instance = postfix.Instance(str(tmp_path / "neighbour"), dict(with_keys(MAIN, keys), worker_processes="", **dict(shared)), services)
    instance.start()
    try:
        wrong = wrong_rows(instance, rows, of_row, keys)
    finally:
        instance.stop(check=False)
    assert not wrong, wrong


def said(instance, pattern):
    return [re.sub(r":\d+: ", ":PORT: ", text) for text in re.findall(pattern, instance.log())]


@pytest.mark.parametrize("client", [NEW, OLD, {"curve": "prime256v1"}, {"certificate": "client"}, {"max": V12, "certificate": "client"}])
def test_log_of_the_server(tmp_path, keys, client):  # noqa: F811
    found = []
    for kind in (postfix, postern):
        instance = kind.Instance(str(tmp_path / kind.__name__), dict(with_keys(MAIN, keys), worker_processes="" if kind is postfix else "1", **with_keys(ASK, keys)))
        instance.start()
        try:
            caller = Caller(keys, **client)
            assert [caller.call(instance.port)[0] for _ in range(2)] == [False, True]
            instance.wait_log(r"smtpd\[\d+\]: disconnect from", count=2)
            found.append(said(instance, r"smtpd\[\d+\]: (\w+ TLS connection .*)"))
        finally:
            instance.stop(check=False)
    assert found[0] == found[1] and len(found[0]) == 2


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("version", [V12, V13])
def test_log_of_the_client(tmp_path, dns, client_keys, server, version, own):  # noqa: F811
    dns(ZONE)
    found = []
    sink = server(versions=version)
    for kind in (postfix, postern):
        main = dict(KEPT, smtp_tls_CAfile=str(client_keys / "ca.pem"), smtp_tls_loglevel="1", inet_protocols="ipv4", inet_interfaces="127.0.0.1", mydestination="test.example",
                    smtpd_relay_restrictions="permit_mynetworks, reject")
        if own:
            main.update(smtp_tls_cert_file=str(client_keys / "client.pem"), smtp_tls_key_file=str(client_keys / "client.key"))
        instance = kind.Instance(str(tmp_path / kind.__name__), main)
        instance.start()
        try:
            for name in "ab":
                instance.wait_handled(instance.send(recipients=[name + "@dest.example"]))
                outcome(instance, name + "@dest.example")
            found.append(said(instance, r"smtp\[\d+\]: (\w+ TLS connection .*)"))
            assert sink.reused[-2:] == [False, True]
        finally:
            instance.stop(check=False)
    assert found[0] == found[1] and len(found[0]) == 2
