"""Names from pci.ids, candidate drivers from modules.alias; both filters are idempotent."""

from __future__ import annotations

import pytest

from hostpci.facts.look import Look
from hostpci.facts.names import PCI_IDS, Names, read_candidates, read_names
from hostpci.host.capture import CaptureRoot
from hostpci.host.root import Keep

from ..hosts import RecordedHost

IDS = """\
# comment
0de0  Somebody Else
\t2d04  Not this one
10de  NVIDIA Corporation
\t2d03  Neighbour
\t2d04  GB206 [GeForce RTX 5060 Ti]
\t\t10b0 205e  A vendor's own card
\t22eb  GB206 High Definition Audio
10df  Emulex
\t2d04  Not this one either

C 03  Display controller
\t00  VGA compatible controller
\t\t00  VGA controller
\t02  3D controller
C 04  Multimedia controller
\t00  Multimedia video controller
"""
NVIDIA_VGA = "pci:v000010DEd00002D04sv000010B0sd0000205Ebc03sc00i00"
RELEASE = "6.8.12-9-pve"


class Tape(CaptureRoot):
    """Remembers what a filter let through."""

    kept: tuple[str, ...] = ()

    def filtered_lines(self, path: str, keep: Keep) -> tuple[str, ...]:
        self.kept = super().filtered_lines(path, keep)
        return self.kept


def names_in(host: RecordedHost, text: str) -> tuple[Names, str]:
    tape = Tape(host.with_file(PCI_IDS, text).data)
    names = read_names(Look(tape), [("10de", "2d04"), ("10de", "ffff")], [0x030000, 0x040300])
    return names, "".join(f"{line}\n" for line in tape.kept)


def candidates_in(
    host: RecordedHost, text: str, *aliases: str
) -> tuple[dict[str, tuple[str, ...]], str]:
    tape = Tape(host.with_file(f"/lib/modules/{RELEASE}/modules.alias", text).data)
    found = read_candidates(Look(tape), RELEASE, aliases or [NVIDIA_VGA])
    return found, "".join(f"{line}\n" for line in tape.kept)


def test_names_belong_to_the_vendor_above_them(guide: RecordedHost) -> None:
    names, _ = names_in(guide, IDS)
    assert names.vendor("10de") == "NVIDIA Corporation"
    assert names.device("10de", "2d04") == "GB206 [GeForce RTX 5060 Ti]"


def test_a_class_has_the_name_of_its_subclass_or_else_of_its_base(guide: RecordedHost) -> None:
    names, _ = names_in(guide, IDS)
    assert names.of_class(0x030000) == "VGA compatible controller"
    assert names.of_class(0x040300) == "Multimedia controller"


@pytest.mark.parametrize("ids", [("10de", "ffff"), ("ffff", "2d04"), ("0de0", "2d04")])
def test_what_is_not_listed_or_not_asked_for_has_no_name(
    guide: RecordedHost, ids: tuple[str, str]
) -> None:
    names, _ = names_in(guide, IDS)
    assert names.device(*ids) == ""


def test_the_filter_of_names_keeps_only_what_is_plugged_in(guide: RecordedHost) -> None:
    _, kept = names_in(guide, IDS)
    assert kept.splitlines() == [
        "10de  NVIDIA Corporation",
        "\t2d04  GB206 [GeForce RTX 5060 Ti]",
        "C 03  Display controller",
        "\t00  VGA compatible controller",
        "C 04  Multimedia controller",
    ]


def test_the_filter_of_names_is_idempotent(guide: RecordedHost) -> None:
    first, kept = names_in(guide, IDS)
    again, kept_again = names_in(guide, kept)
    assert (again, kept_again) == (first, kept)


def test_a_host_without_pci_ids_has_no_names_and_no_gap(guide: RecordedHost) -> None:
    look = Look(CaptureRoot(guide.without(PCI_IDS).data))
    assert read_names(look, [("10de", "2d04")], [0x030000]).table == {}
    assert look.gaps == ()


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("alias pci:v000010DEd*sv*sd*bc03sc*i* nouveau", "nouveau"),
        ("alias pci:v000010DEd00002D04sv*sd*bc*sc*i* nvidia-drm", "nvidia_drm"),
        ("alias pci:v*d*sv*sd*bc03sc00i00* everybody", "everybody"),
        ("alias pci:v000010DEd00002D04sv000010B0sd0000205Ebc*sc*i* exact", "exact"),
        ("alias pci:v000010DEd00002D03sv*sd*bc*sc*i* neighbour", None),
        ("alias pci:v00001002d*sv*sd*bc03sc*i* amdgpu", None),
        ("alias pci:v000010DEd*sv*sd*bc04sc03i00* snd_hda_intel", None),
        ("alias pci:v000010DEd*sv00001043sd*bc*sc*i* other_board", None),
        ("alias pci:v000010DEd*sv*sd*bc03sc02i* other_subclass", None),
        ("alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci", None),
        ("alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci", None),
        ("alias usb:v10DEp2D04d*dc*dsc*dp*ic*isc*ip*in* usbthing", None),
        ("# alias pci:v000010DEd*sv*sd*bc03sc*i* commented", None),
    ],
)
def test_a_module_is_a_candidate_if_its_alias_matches(
    guide: RecordedHost, line: str, module: str | None
) -> None:
    found, kept = candidates_in(guide, f"{line}\n")
    assert found == {NVIDIA_VGA: () if module is None else (module,)}
    assert kept == ("" if module is None else f"{line}\n")


def test_candidates_are_named_once_and_sorted(guide: RecordedHost) -> None:
    text = """\
alias pci:v000010DEd*sv*sd*bc03sc*i* nvidia
alias pci:v000010DEd*sv*sd*bc03sc*i* nouveau
alias pci:v000010DEd00002D04sv*sd*bc*sc*i* nouveau
"""
    found, _ = candidates_in(guide, text)
    assert found[NVIDIA_VGA] == ("nouveau", "nvidia")


def test_the_filter_of_aliases_is_idempotent(guide: RecordedHost) -> None:
    text = """\
alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
alias pci:v000010DEd*sv*sd*bc03sc*i* nouveau
alias pci:v*d*sv*sd*bc01sc06i01* ahci
alias pci:v*d*sv*sd*bc03sc*i* any_display
"""
    first, kept = candidates_in(guide, text)
    again, kept_again = candidates_in(guide, kept)
    assert (again, kept_again) == (first, kept)
    assert len(kept.splitlines()) == 2


@pytest.mark.parametrize("alias", ["", "pci:v000010DE", "pci:", "usb:v1"])
def test_a_function_without_a_readable_alias_has_no_candidates(
    guide: RecordedHost, alias: str
) -> None:
    found, _ = candidates_in(guide, "alias pci:v*d*sv*sd*bc*sc*i* everybody\n", alias)
    assert found == {alias: ()}
