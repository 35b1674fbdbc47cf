"""The rows of tests/system/test_smtpd_tls.py before Debian's Postfix: what is expected of us is what it does."""
import os
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtpd_tls import MAIN, batches, keys, listeners, with_keys, wrong_rows  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def comparable(row):
    """Postfix 3.7 trusts a chain that is longer than the depth."""
    options, client, _ = row
    return not ("smtpd_tls_ccert_verifydepth" in options and client["certificate"] == "deeper")


@pytest.mark.parametrize("batch", range(len(batches())))
def test_rows(tmp_path, keys, batch):  # noqa: F811
    rows = [row for row in batches()[batch] if comparable(row)]
    services, of_row = listeners(rows, keys)
    instance = postfix.Instance(str(tmp_path / "neighbour"), with_keys(dict(MAIN, worker_processes=""), keys), services)
    instance.start()
    try:
        wrong = wrong_rows(instance, rows, of_row, keys)
    finally:
        instance.stop(check=False)
    assert not wrong, wrong
