"""The rows of tests/system/test_smtp_trust.py before Debian's Postfix: what is expected of our client is what it does."""
import os
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtp_client import CLIENT, dns  # noqa: E402, F401
from test_smtp_tls import UNTRUSTED, UNVERIFIED, ZONE, keys, server  # noqa: E402, F401
from test_smtp_trust import FAR, LEVELS, ROWS, SITES, anchors, kind_of, outcome_of, sites, with_files  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def comparable(row):
    """Its wildcards stand for one label, whatever the manual says."""
    main, _, domain, _ = row
    return domain != "far.example" or "tls_wildcard_matches_multiple_labels" in main


@pytest.mark.parametrize("main, certificate, domain, expected", filter(comparable, ROWS))
def test_rows(tmp_path, dns, keys, anchors, server, main, certificate, domain, expected):  # noqa: F811
    dns(dict(ZONE, **FAR))
    server(certificate)
    instance = postfix.Instance(str(tmp_path / "neighbour"), with_files(dict(CLIENT, **main), anchors(keys)))
    instance.start()
    try:
        assert outcome_of(instance, domain) == (UNVERIFIED if expected == UNTRUSTED else expected)  # one text for both
    finally:
        instance.stop(check=False)


@pytest.mark.parametrize("level, nexthop, host, expected", SITES)
def test_sites(tmp_path, dns, keys, server, level, nexthop, host, expected):  # noqa: F811
    dns(ZONE)
    sink = server("domain")
    instance = postfix.Instance(str(tmp_path / "neighbour"), dict(CLIENT, smtp_tls_CAfile=str(keys / "ca.pem"), **sites(nexthop, host, **LEVELS[level])))
    instance.start()
    try:
        assert kind_of(instance, sink) == expected
    finally:
        instance.stop(check=False)
