"""The rows of tests/system/test_smtpd_names.py before Debian's Postfix: what is expected of us is what it does."""
import os
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtpd_names import listeners_for, names, wrong_rows  # noqa: E402, F401
from test_smtpd_tls import MAIN, keys, with_keys  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")


def test_rows(tmp_path, names):  # noqa: F811
    instance = postfix.Instance(str(tmp_path / "neighbour"), dict(with_keys(MAIN, names), worker_processes=""), listeners_for(names))
    instance.start()
    try:
        wrong = wrong_rows(instance, names)
    finally:
        instance.stop(check=False)
    assert not wrong, wrong
