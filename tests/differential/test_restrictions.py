"""The rows of tests/system/test_smtpd_restrictions.py before Debian's Postfix: what is expected of us is what it does."""
import os
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtpd_restrictions import MAIN, ask, batches, dns, listeners  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def comparable(row):
    """Postfix resolves in a process that sees no settings of a listener, and its permit_inet_interfaces sees no XCLIENT address."""
    options, client, _ = row
    return "relay_domains" not in options and "permit_inet_interfaces" not in str(options)


@pytest.fixture
def neighbour(tmp_path):
    made = []

    def make(services):
        made.append(postfix.Instance(str(tmp_path / "neighbour"), dict(MAIN, worker_processes=None), services).start())
        return made[-1]

    yield make
    for instance in made:
        instance.stop(check=False)


@pytest.mark.parametrize("batch", range(len(batches())))
def test_rows(neighbour, batch):
    rows = [row for row in batches()[batch] if comparable(row)]
    services, of_row = listeners(rows)
    instance = neighbour(services)
    wrong = []
    for (options, client, expected), name in zip(rows, of_row):
        with instance.client(name) as c:
            reply = ask(c, **client)
        if reply != expected:
            wrong.append("%s %s:\n  %s\n  %s" % (options, client, reply, expected))
    assert not wrong, "\n".join(wrong)
