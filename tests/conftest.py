import glob
import os
import re
import sys

import pytest

# What the search for leaks says of a thread that ends just then.
NO_REPORT = r"==\d+==Unable to get registers from thread \d+\.\n"

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "system"))


def pytest_configure(config):
    config.addinivalue_line("markers", "exercises(*names): parameters and restrictions whose effect the test shows")


@pytest.fixture(scope="session")
def sanitizer_reports(tmp_path_factory):
    """Where every process of the tests, daemons without standard error too, leaves the reports of its sanitizer; None without sanitizers."""
    if not os.environ.get("POSTERN_SANITIZER"):
        yield None
        return
    folder = str(tmp_path_factory.mktemp("sanitizer"))
    path = folder
    while os.geteuid() == 0 and len(path) > 1 and path != "/tmp":
        os.chmod(path, os.stat(path).st_mode | 0o755)
        path = os.path.dirname(path)
    os.chmod(folder, 0o1777)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        os.environ[name] = "%s:log_path=%s/%s" % (os.environ.get(name, ""), folder, name[0])
    os.environ["POSTERN_SANITIZER_REPORTS"] = folder
    yield folder
    fail_for_reports(folder)  # of what ended after the last test


def fail_for_reports(folder):
    import postern
    reports = []
    for path in [p for place in (folder, *postern.JAILED_REPORTS) for p in glob.glob(place + "/*")]:
        with open(path, errors="replace") as f:
            reports.append(re.sub(NO_REPORT, "", f.read()))
        os.unlink(path)
    assert not any(reports), "\n".join(reports)


@pytest.fixture(autouse=True)
def no_sanitizer_report(sanitizer_reports):
    """A report of any process fails the test that it ran for. Set up first, so that what the test started has ended."""
    yield
    if sanitizer_reports:
        fail_for_reports(sanitizer_reports)


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.postern_failed = True
