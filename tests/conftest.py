import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "system"))


def pytest_configure(config):
    config.addinivalue_line("markers", "exercises(*names): parameters and restrictions whose effect the test shows")


@pytest.fixture
def mta(tmp_path, request):
    """Makes instances that are stopped at the end; a failed test shows their logs."""
    import postern
    made = []

    def make(*args, **keywords):
        instance = postern.Instance(str(tmp_path / ("mta%d" % len(made))), *args, **keywords)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.stop(check=False)
        report = getattr(request.node, "postern_failed", False)
        if report:
            print("---- log of %s\n%s" % (instance.directory, instance.log()))
        instance.check_sanitizers()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.postern_failed = True
