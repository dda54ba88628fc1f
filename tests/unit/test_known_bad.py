"""Known-bad kernels: every row at both its ends, and only for the devices that it hits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hostpci.checks.known_bad import KNOWN_BAD, BadKernel, check_known_bad
from hostpci.i18n import all_texts
from hostpci.model.finding import Finding, Level

from ..hosts import AUDIO, SLOT, VGA, RecordedHost
from . import support

Variation = Callable[[RecordedHost], RecordedHost]


def on_kernel(release: str) -> RecordedHost:
    return RecordedHost().with_file("/proc/sys/kernel/osrelease", f"{release}\n")


def amd(host: RecordedHost) -> RecordedHost:
    return host.with_identity(VGA, vendor="1002", device="744c").with_driver(VGA, "amdgpu")


def amd_on_vfio(host: RecordedHost) -> RecordedHost:
    return amd(host).with_driver(VGA, "vfio-pci")


def skylake(host: RecordedHost) -> RecordedHost:
    return host.with_identity(VGA, vendor="8086", device="1912")


def kaby_lake(host: RecordedHost) -> RecordedHost:
    return host.with_identity(VGA, vendor="8086", device="5912")


def as_it_is(host: RecordedHost) -> RecordedHost:
    return host


def in_company(host: RecordedHost) -> RecordedHost:
    return host.with_group("0000:00:04.0", 8)


def said(host: RecordedHost, slot: str = SLOT) -> dict[str, Finding]:
    """What is said of the running kernel, by the code of the row; "" is a pass."""
    found = (each for each in support.all_findings(host, slot) if each.subject == host.release)
    ours = (each for each in found if each.code.startswith("known-bad-kernel"))
    return {each.code.removeprefix("known-bad-kernel").removeprefix("-"): each for each in ours}


@pytest.mark.parametrize(
    ("code", "release", "device", "expected"),
    [
        ("iommu", "6.8.12-28-pve", as_it_is, False),
        ("iommu", "6.8.12-29-pve", as_it_is, True),
        ("iommu", "6.8.12-30-pve", as_it_is, False),
        ("no-pci-pm", "6.8.12-11-pve", as_it_is, False),
        ("no-pci-pm", "6.8.12-12-pve", as_it_is, True),
        ("no-pci-pm", "6.8.12-13-pve", as_it_is, False),
        ("no-pci-pm", "6.14.5-1-bpo12-pve", as_it_is, False),
        ("no-pci-pm", "6.14.8-1-bpo12-pve", as_it_is, True),
        ("no-pci-pm", "6.14.8-1-pve", as_it_is, True),
        ("no-pci-pm", "6.14.8-2-bpo12-pve", as_it_is, False),
        ("skylake-igpu", "6.5.13-6-pve", skylake, False),
        ("skylake-igpu", "6.8.4-2-pve", skylake, True),
        ("skylake-igpu", "6.8.12-4-pve", skylake, True),
        ("skylake-igpu", "6.8.12-4-pve", kaby_lake, False),
        ("skylake-igpu", "6.8.12-4-pve", as_it_is, False),
        ("skylake-igpu", "6.8.12-5-pve", skylake, False),
        ("skylake-igpu", "6.11.0-1-pve", skylake, True),
        ("skylake-igpu", "6.11.0-2-pve", skylake, False),
        ("acs-quirks", "6.11.0-1-pve", in_company, True),
        ("acs-quirks", "6.11.0-1-pve", as_it_is, False),
        ("acs-quirks", "6.11.0-2-pve", in_company, False),
        ("acs-quirks", "6.11.6+bpo-amd64", in_company, True),
        ("acs-quirks", "6.11.7+bpo-amd64", in_company, False),
        ("acs-quirks", "6.10.11+bpo-amd64", in_company, False),
        ("amdgpu-unbind", "7.0.2-6-pve", amd, False),
        ("amdgpu-unbind", "7.0.14-1-pve", amd, True),
        ("amdgpu-unbind", "7.0.14-2-pve", amd, True),
        ("amdgpu-unbind", "7.0.14-2-pve", amd_on_vfio, False),
        ("amdgpu-unbind", "7.0.14-2-pve", as_it_is, False),
        ("amdgpu-unbind", "7.0.14-3-pve", amd, False),
        ("nova-core", "7.0.2-2-pve", as_it_is, True),
        ("nova-core", "7.0.2-2-pve", amd, False),
        ("nova-core", "7.0.2-3-pve", as_it_is, False),
        ("nova-core", "6.17.4-1-pve", as_it_is, False),
    ],
)
def test_a_row_at_its_ends(
    code: str,
    release: str,
    device: Variation,
    expected: bool,  # noqa: FBT001
) -> None:
    found = said(device(on_kernel(release)))
    assert (code in found) is expected
    assert ("" in found) is not any(found.keys())


@pytest.mark.parametrize("release", ["6.1.0-56-amd64", "6.8.0-12-amd64", "6.8.12-29-generic"])
def test_a_debian_abi_number_never_matches_a_row(release: str) -> None:
    assert list(said(skylake(on_kernel(release)))) == [""]


def test_the_kernel_that_boots_next_is_judged_too() -> None:
    facts = on_kernel("6.8.12-28-pve").facts()
    facts = replace(facts, loader=replace(facts.loader, next_release="6.8.12-29-pve"))
    codes = {each.subject: each.code for each in check_known_bad(facts, SLOT)}
    assert codes == {
        "6.8.12-28-pve": "known-bad-kernel",
        "6.8.12-29-pve": "known-bad-kernel-iommu",
    }


def test_one_kernel_is_judged_once() -> None:
    facts = on_kernel("6.8.12-28-pve").facts()
    facts = replace(facts, loader=replace(facts.loader, next_release="6.8.12-28-pve"))
    assert len(list(check_known_bad(facts, SLOT))) == 1


def test_a_finding_says_which_build_repairs_it_and_where_that_stands() -> None:
    found = said(on_kernel("6.8.12-29-pve"))["iommu"]
    assert found.params == {"release": "6.8.12-29-pve", "fixed": "6.8.12-30"}
    assert found.level is Level.WARN
    assert "6.8.12-30" in found.evidence[0]
    assert not found.blocks


@pytest.mark.parametrize("row", KNOWN_BAD, ids=[f"{e.code}-{e.fixed_text}" for e in KNOWN_BAD])
def test_a_row_has_a_range_a_source_and_a_text(row: BadKernel) -> None:
    assert row.since < row.fixed
    assert len(row.since) == len(row.fixed)
    assert row.source
    assert f"finding.known-bad-kernel-{row.code}.remedy" in all_texts("en")


def test_the_audio_function_of_an_amd_card_is_no_card() -> None:
    host = on_kernel("7.0.14-2-pve").with_identity(AUDIO, vendor="1002", device="ab30")
    assert list(said(host)) == [""]
