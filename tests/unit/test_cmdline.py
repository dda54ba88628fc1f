"""Words of the kernel's command line."""

from __future__ import annotations

import pytest

from hostpci.model.cmdline import has_value, last_value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("intel_iommu=on", True),
        ("intel_iommu=on,sm_on", True),
        ("intel_iommu=sm_on,on", True),
        ("intel_iommu=off intel_iommu=on", True),
        ("intel-iommu=on", True),
        ('"intel_iommu=on"', True),
        ('intel_iommu="on"', True),
        ("intel_iommu=sm_on", False),
        ("intel_iommu=only", False),
        ("xintel_iommu=on", False),
        ("intel_iommu", False),
        ("on", False),
        ("quiet -- intel_iommu=on", False),
        ("", False),
    ],
)
def test_a_value_is_found_among_others(line: str, *, expected: bool) -> None:
    assert has_value(line.split(), "intel_iommu", "on") is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1 a=2", "2"),
        ("a=1,2 b=3", "1,2"),
        ("a=", ""),
        ("a b=1", None),
        ("", None),
    ],
)
def test_the_last_word_is_kept(line: str, expected: str | None) -> None:
    assert last_value(line.split(), "a") == expected
