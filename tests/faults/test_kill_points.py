"""A few of the breaks of ``make test-faults``, in each of the kinds."""

from tests.programs import python


def test_a_run_broken_at_a_file_operation_ends_as_if_nothing_had_happened() -> None:
    process = python("-m", "tests.faults.kill_points", 60)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0 and said.count(": survived\n") == len(said.splitlines()) >= 3, said


def test_a_run_killed_at_random_times_ends_as_if_nothing_had_happened() -> None:
    process = python("-m", "tests.faults.random_kills", 2)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0 and said.count(": survived\n") == len(said.splitlines()) == 2, said
