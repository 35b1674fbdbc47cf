"""The rows of tests/system/test_tls_settings.py before Debian's Postfix: what is expected of our server is what it does."""
import os
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtpd_tls import MAIN, keys, listeners, with_keys  # noqa: E402, F401
from test_tls_settings import ROWS, more_keys, wrong_rows  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def test_rows(tmp_path, more_keys):  # noqa: F811
    services, of_row = listeners(ROWS, more_keys)
    instance = postfix.Instance(str(tmp_path / "neighbour"), dict(with_keys(MAIN, more_keys), worker_processes=""), services)
    instance.start()
    try:
        wrong = wrong_rows(instance, ROWS, of_row)
    finally:
        instance.stop(check=False)
    assert not wrong, wrong
