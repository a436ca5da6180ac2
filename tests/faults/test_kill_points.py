"""A few of the breaks of ``make test-faults``, in each of the kinds."""

from tests.programs import python


def test_a_run_broken_at_a_file_operation_ends_as_if_nothing_had_happened() -> None:
    process = python("-m", "tests.faults.kill_points", 60)
    assert process.communicate(timeout=300)[1] == "" and process.returncode == 0
