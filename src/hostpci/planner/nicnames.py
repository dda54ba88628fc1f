"""Pin the names of network interfaces by their permanent address, before a boot can change them.

Debian's initramfs hook of udev copies /etc/systemd/network/*.link into every image, and the udev
in there names whatever has its driver in there. The real system's udev renames it again by our
file (an explicit Name= is not held up by an earlier name, NamePolicy=keep is), but not onto a name
that another interface of the image still has: so an image with the driver inside is built anew.
For the same reason an image that holds a pin which is gone would keep the name for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ..checks.moved import moves
from ..checks.nicnames import relied_on
from ..model.facts import Facts, InitramfsImage
from ..model.network import WAS_ASKED, Interface, link_path, link_text
from ..model.plan import FileStep

OPTION = "pin-nic-names"


def pin_steps(facts: Facts, *, reboot: bool) -> tuple[FileStep, ...]:
    """Write a link file for each interface that the configuration names and nothing pins.

    Where the host's options ask for it; and unasked where ``reboot`` (the plan has one) meets
    addresses that are known to have moved. A pin that nobody asks for any more is removed; one
    that was written unasked stays until it is undone, as the move it answers was real.
    """
    asked = OPTION in facts.claims.host_options
    if asked or (reboot and moves(facts)):
        return tuple(_writing(facts, asked=asked))
    return tuple(_removing(facts))


def _writing(facts: Facts, *, asked: bool) -> Iterator[FileStep]:
    on_disk = {each.path: each.text for each in facts.network.links}
    for each, mac in _to_pin(facts):
        path, text = link_path(each.name), link_text(each.name, mac, asked=asked)
        if path not in on_disk or (asked and on_disk[path] != text):
            yield FileStep(code="nic-pin", path=path, before=on_disk.get(path), after=text)


def _removing(facts: Facts) -> Iterator[FileStep]:
    for each in facts.network.links:
        if WAS_ASKED in each.text:
            yield FileStep(code="nic-unpin", path=each.path, before=each.text, after=None)


def _to_pin(facts: Facts) -> Iterator[tuple[Interface, str]]:
    """Of two interfaces with one address either could get the name: neither is pinned."""
    counts = Counter(each.mac for each in facts.network.interfaces)
    for each in relied_on(facts):
        is_free = not each.keeps_its_name or each.pinned_by == link_path(each.name)
        if each.mac and each.can_be_pinned and counts[each.mac] == 1 and is_free:
            yield each, each.mac


def names_too_early(facts: Facts, image: InitramfsImage, steps: Iterable[FileStep]) -> bool:
    """True if the udev inside the image would name an interface by other rules than the root's."""
    changing = {step.path: step.after for step in steps}
    kept = {each.path: each.modified_ns for each in facts.network.links}
    left = {path for path in {*kept, *changing} if changing.get(path, "") is not None}
    if set(image.links) - {path.rpartition("/")[2] for path in left}:
        return True
    current = {
        path
        for path in left - changing.keys()
        if path.rpartition("/")[2] in image.links and image.modified_ns >= kept[path]
    }
    waiting = [each for each in facts.network.interfaces if link_path(each.name) in left - current]
    return any(_is_driven_inside(facts, each, image) for each in waiting)


def _is_driven_inside(facts: Facts, interface: Interface, image: InitramfsImage) -> bool:
    function = facts.inventory.function(interface.address)
    if function is None:
        return False
    # Of a virtio device the PCI driver is only the transport
    is_virtio = function.driver == "virtio-pci"
    return ("virtio_net" if is_virtio else function.driver_module) in (image.modules or ())
