"""Joules are read or absent."""

from pathlib import Path

from harness import energy


def zone(folder: Path, name: str, used: int) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "energy_uj").write_text(str(used))
    (folder / name / "max_energy_range_uj").write_text("999999")


def test_packages_are_added_their_parts_are_not_and_a_counter_may_run_over(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 900_000)
    zone(tmp_path, "intel-rapl:1", 100_000)
    zone(tmp_path, "intel-rapl:0:0", 100_000)
    read = energy.rapl(tmp_path)
    assert read is not None
    before = read()
    zone(tmp_path, "intel-rapl:0", 200_000)
    zone(tmp_path, "intel-rapl:1", 150_000)
    zone(tmp_path, "intel-rapl:0:0", 900_000)
    assert read() - before == 0.35


def test_where_nothing_can_be_read_there_is_no_counter(tmp_path: Path) -> None:
    assert energy.rapl(tmp_path) is None
    zone(tmp_path, "intel-rapl:0", 1)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert energy.rapl(tmp_path) is None
