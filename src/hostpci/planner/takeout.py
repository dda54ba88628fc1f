"""One recognised setting out of one file, by the edit for that kind of file. Pure.

Raises EditError where the line says more than the setting, or cannot be understood.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import EditError
from ..facts.loader import KERNEL_CMDLINE
from ..facts.settings import OPTION_CODES, codes_of
from ..model.facts import ConfigFile, Setting
from .edits import cmdline, grub, modprobe, modules

_OPTIONS = {code: names for names, code in OPTION_CODES.items()}
# Of these the word must be exactly what the guides write: a longer value says something else too
_EXACT = {
    "cmdline-amd-iommu-on": ("amd_iommu=on",),
    "cmdline-intel-iommu-on": ("intel_iommu=on",),
    "cmdline-iommu-pt": ("iommu=pt",),
    "cmdline-sysfb": ("initcall_blacklist=sysfb_init",),
}
_OLD_FRAMEBUFFERS = {"efifb:off", "vesafb:off", "simplefb:off"}
_INITRAMFS_LIST = "/etc/initramfs-tools/modules"
_VFIO_MODULES = ("vfio", "vfio_pci", "vfio_iommu_type1", "vfio_virqfd")


def take_out(path: str, text: str, setting: Setting) -> str:
    """The text of ``path`` without the setting; unchanged if it is not found there."""
    if path.startswith("/etc/default/grub"):
        return _from_grub(path, text, setting)
    if path == KERNEL_CMDLINE:
        words = list(_whole_words(cmdline.words_in(text), setting))
        return cmdline.take(text, words) if words else text
    if path.startswith("/etc/modprobe.d/"):
        return _from_modprobe(text, setting)
    return modules.take_module(text, setting.value)


def _from_grub(path: str, text: str, setting: Setting) -> str:
    file = ConfigFile(path=path, text=text)
    words = dict.fromkeys(_whole_words([each.word for each in grub.words_in(file)], setting))
    for word in words:
        file = ConfigFile(path=path, text=grub.take_word(file, word))
    return file.text


def _whole_words(words: list[str] | tuple[str, ...], setting: Setting) -> Iterator[str]:
    """The words that say the setting and nothing else."""
    for word in words:
        said = tuple(codes_of(word))
        if (setting.code, setting.value) in said:
            if len(said) > 1 or not _is_as_in_guides(word, setting.code):
                raise EditError("edit-says-more", word=word)
            yield word


def _is_as_in_guides(word: str, code: str) -> bool:
    if code == "cmdline-video-off":
        return set(word.partition("=")[2].split(",")) <= _OLD_FRAMEBUFFERS
    return word in _EXACT[code] if code in _EXACT else True


def _from_modprobe(text: str, setting: Setting) -> str:
    if setting.code in _OPTIONS:
        module, option = _OPTIONS[setting.code]
        return modprobe.take_option(text, module, option)
    return modprobe.take_line(text, setting.line)


def concerned_modules(setting: Setting) -> tuple[str, ...]:
    """Modules that, inside an initramfs, still act by the setting's copy in there."""
    path = setting.where.partition(":")[0]
    if path == _INITRAMFS_LIST:
        return _VFIO_MODULES
    if not path.startswith("/etc/modprobe.d/"):
        return ()
    if setting.code in _OPTIONS:
        return (_OPTIONS[setting.code][0],)
    return (setting.value,)
