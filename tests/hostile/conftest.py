"""Lists hostile files and their sentences where these tests are run by themselves."""


def pytest_terminal_summary(terminalreporter) -> None:
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    said = [(report.nodeid, value) for report in reports for key, value in report.user_properties if key == "sentence"]
    if said and terminalreporter.config.args != terminalreporter.config.getini("testpaths"):
        terminalreporter.section("hostile files, and what is said of them")
        for name, sentence in said:
            terminalreporter.line(f"{name.partition('[')[2].removesuffix(']')}: {sentence}")
