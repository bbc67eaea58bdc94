"""Tests that share a camera go to one worker of pytest-xdist."""

from tests.scheduling import find_group

FAULTS = "tests/integration/device_faults"


def test_tests_of_a_package_that_share_a_camera_are_one_group() -> None:
    first = find_group(f"{FAULTS}/test_faults_app.py::test_a[axis-os-11-armv7hf-exit-3]")
    assert first == find_group(f"{FAULTS}/test_faults_deploy.py::test_b[axis-os-11-armv7hf]")
    assert first != find_group(f"{FAULTS}/test_faults_deploy.py::test_b[axis-os-10-aarch64]")
    assert first != find_group("tests/integration/test_watch.py::test_c[axis-os-11-armv7hf]")


def test_tests_that_keep_connections_are_one_group() -> None:
    groups = {
        find_group(f"tests/integration/held/test_{name}.py::test_a[{profile}]")
        for name in ("held", "crash")
        for profile in ("axis-os-11-armv7hf", "axis-os-11-aarch64")
    }
    assert len(groups) == 1


def test_modules_of_the_integration_folder_are_groups_of_their_own() -> None:
    a, b = (find_group(f"tests/integration/test_lock.py::test_{name}") for name in ("a", "b[x]"))
    assert a == b
    assert a != find_group("tests/integration/test_images.py::test_a")


def test_each_unit_test_is_a_group_of_its_own() -> None:
    assert find_group("tests/unit/test_names.py::test_a") != find_group("tests/unit/test_names.py::test_b")
