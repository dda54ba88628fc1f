"""What is inside each initramfs, and our rules as they lie on the root."""

from __future__ import annotations

import base64

import pytest

from hostpci.errors import CorruptError, Exit
from hostpci.model.facts import InitramfsImage
from hostpci.model.rule import rule_path

from ..hosts import SLOT, RecordedHost
from .support import claimed, image_path, image_time, with_rule, with_rule_in_image

RULE = "10-hostpci-0000-01-00.rules"


def with_kernel(host: RecordedHost, release: str, listing: str | None) -> RecordedHost:
    path = f"/boot/initrd.img-{release}"
    host.with_file(path, "")
    host.data["times"][path] = 5
    if listing is not None:
        host.data["commands"].append({"argv": ["lsinitramfs", path], "stdout": listing})
    return host


def image(host: RecordedHost, release: str) -> InitramfsImage:
    (found,) = (each for each in host.facts().images if each.release == release)
    return found


def test_modules_are_named_as_the_kernel_names_them(guide: RecordedHost) -> None:
    listing = """\
usr/lib/modules/1/kernel/drivers/vfio/pci/vfio-pci.ko.zst
usr/lib/modules/1/kernel/drivers/gpu/drm/nouveau/nouveau.ko.xz
usr/lib/modules/1/kernel/a.ko.gz
usr/lib/modules/1/kernel/b.ko
usr/lib/modules/1/kernel/c.ko.sig
usr/lib/firmware/nvidia.ko.txt
usr/lib/modules/1/modules.dep
"""
    found = image(with_kernel(guide, "1", listing), "1")
    assert found.modules == ("a", "b", "nouveau", "vfio_pci")
    assert found.claim_rules == ()
    assert found.modified_ns == 5


def test_our_rules_inside_are_found_wherever_the_hook_put_them(guide: RecordedHost) -> None:
    listing = f"""\
usr/lib/udev/rules.d/{RULE}
lib/udev/rules.d/10-hostpci-10000-e1-00.rules
etc/udev/rules.d/10-hostpci-0000-01-00.rules.bak
etc/udev/rules.d/60-{RULE}
usr/lib/udev/rules.d/50-udev-default.rules
"""
    found = image(with_kernel(guide, "1", listing), "1")
    assert found.claim_rules == (RULE, "10-hostpci-10000-e1-00.rules")
    assert found.modules == ()


def test_an_image_that_cannot_be_listed_is_not_an_empty_one(guide: RecordedHost) -> None:
    facts = with_kernel(guide, "1", None).facts()
    assert image(guide, "1").modules is None
    assert "/boot/initrd.img-1" in [gap.what for gap in facts.unmeasured]


def test_every_kernel_has_its_image_and_leftovers_of_packages_have_none(
    guide: RecordedHost,
) -> None:
    for release in ("6.8.12-9-pve", "6.8.12-9-pve.dpkg-bak", "1.bak", "1.old-dkms", "1.new"):
        with_kernel(guide, release, "")
    guide.with_file("/boot/initrd.img", "").with_file("/boot/vmlinuz-1", "")
    assert [each.release for each in guide.facts().images] == ["6.1.0-56-amd64", "6.8.12-9-pve"]


def test_a_capture_keeps_only_what_the_listing_is_asked_for(guide: RecordedHost) -> None:
    """The filter given to the runner is idempotent: filtering its own output changes nothing."""
    with_rule_in_image(guide)
    first = image(guide, guide.release)
    for command in guide.data["commands"]:
        command["stdout"] = "etc/passwd\nusr/bin/busybox\n" + command["stdout"]
    assert image(guide, guide.release) == first
    assert first.claim_rules == (RULE,)


def test_only_our_own_rule_files_are_read_as_rules(guide: RecordedHost) -> None:
    with_rule(claimed(guide), after_image_s=7)
    guide.with_file("/etc/udev/rules.d/10-hostpci-0000-01-00.rules.dpkg-old", "x")
    guide.with_file("/etc/udev/rules.d/70-persistent-net.rules", "x")
    (rule,) = guide.facts().rules
    assert rule.path == rule_path(SLOT) == f"/etc/udev/rules.d/{RULE}"
    assert rule.text == guide.data["files"][rule.path]
    assert rule.modified_ns == image_time(guide) + 7_000_000_000


def test_an_image_knows_its_kernel(guide: RecordedHost) -> None:
    (found,) = guide.facts().images
    assert (found.path, found.release) == (image_path(guide), guide.release)


@pytest.mark.parametrize("path", [rule_path(SLOT), "/etc/default/grub.d/90-hostpci.cfg"])
def test_a_file_of_ours_that_is_no_text_any_more_is_named(guide: RecordedHost, path: str) -> None:
    """Read as something else, it would never be what the plan expects to find."""
    guide.with_file(path, "")
    del guide.data["files"][path]
    guide.data["binary"][path] = base64.b64encode(b"# \xff\n").decode()
    with pytest.raises(CorruptError) as caught:
        guide.facts()
    assert caught.value.code == "rule-unreadable"
    assert caught.value.params == {"path": path}
    assert caught.value.exit is Exit.CORRUPT
