"""The one door for writing: whole files, atomically, without following a link.

Every path is absolute within ``base``. Directories are opened one by one with O_NOFOLLOW, so a
link planted on the way is an error and never a detour. A file is replaced by rename after its
new content, owner, mode and extended attributes are on disk; the directory is synced after.

What a boot loader reads needs more (``settled``): GRUB does not replay the journal of a file
system. After a power cut it sees the disk as it is, old names and freed blocks included.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from ..errors import ConflictError, EnvironmentFault
from ..model.journal import FileImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
# Kernels, images and settings of the boot loader lie here
_BOOT = "/boot/"
# linux/fs/ext4/ext4.h: _IOW('f', 43, __u32); since 5.15
_EXT4_IOC_CHECKPOINT = 0x4004662B
# What may be written in place: nothing of it outlasts the boot
_ATTRIBUTES = ("/sys/bus/pci/", "/proc/sys/kernel/panic")

_FAULTS = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EROFS: "read-only",
    errno.EACCES: "not-writable",
    errno.EPERM: "not-writable",
    errno.ELOOP: "link-in-path",
    errno.ENOTDIR: "link-in-path",
}


def fault_of(error: OSError, path: str) -> EnvironmentFault:
    """Say an OSError in our words: which file, what was left untouched, what to do."""
    code = _FAULTS.get(error.errno or 0, "io-error")
    return EnvironmentFault(code, path=path, reason=error.strerror)


@contextmanager
def _speaking(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise fault_of(error, path) from error


class HostFiles:
    """Write access to one root. Nothing else in this program writes to a host."""

    def __init__(self, base: str = "/") -> None:
        self.base = os.path.realpath(base)

    @contextmanager
    def _directory(self, parts: Sequence[str]) -> Iterator[int]:
        """Open a directory below ``base`` part by part; yields its descriptor."""
        if any(part in ("", ".", "..") for part in parts):
            raise OSError(errno.EINVAL, "path has empty or dot parts")
        descriptor = os.open(self.base, _DIRECTORY)
        try:
            for part in parts:
                deeper = os.open(part, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield (descriptor of the directory that holds ``path``, last name)."""
        *directories, name = path.removeprefix("/").split("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, "path has empty or dot parts")
        with self._directory(directories) as descriptor:
            yield descriptor, name

    @contextmanager
    def _regular(self, path: str) -> Iterator[BufferedReader | None]:
        """Open a regular file for reading; None if there is none. Anything else is a fault."""
        with _speaking(path):
            try:
                with self._parent(path) as (parent, name):
                    descriptor = os.open(name, _READ, dir_fd=parent)
            except FileNotFoundError:
                yield None
                return
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise EnvironmentFault("not-a-file", path=path)
            with os.fdopen(descriptor, "rb") as stream:
                yield stream

    def read(self, path: str) -> bytes | None:
        """Content of a regular file, None if there is none. A link is a fault."""
        with self._regular(path) as stream:
            return None if stream is None else stream.read()

    def image(self, path: str) -> FileImage:
        """Hash, owner, mode and extended attributes of ``path``; absent is sha256 None."""
        import hashlib

        with self._regular(path) as stream:
            if stream is None:
                return FileImage(path=path, sha256=None)
            status = os.fstat(stream.fileno())
            return FileImage(
                path=path,
                sha256=hashlib.file_digest(stream, "sha256").hexdigest(),
                mode=stat.S_IMODE(status.st_mode),
                owner=status.st_uid,
                group=status.st_gid,
                xattrs=_read_xattrs(stream.fileno()),
            )

    def replace(
        self, path: str, content: Iterable[bytes], *, temporary: str, like: FileImage
    ) -> None:
        """Make ``path`` hold the blocks of ``content``, with owner, mode and xattrs of ``like``.

        ``temporary`` is the name to use beside it: unpredictable, and already in the journal,
        so that a killed run leaves nothing that nobody knows of.
        """
        with _speaking(path), self._parent(path) as (parent, name):
            _refuse_link(parent, name, path)
            try:
                _write_new(parent, temporary, content, like)
                with _settled(parent, name, path):
                    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
                    os.fsync(parent)
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=parent)
                raise

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is fine."""
        with _speaking(path):
            try:
                with self._parent(path) as (parent, name), _settled(parent, name, path):
                    os.unlink(name, dir_fd=parent)
                    os.fsync(parent)
            except FileNotFoundError:
                return

    @contextmanager
    def settled(self, paths: Iterable[str]) -> Iterator[None]:
        """While a program of the host replaces ``paths``: see ``_settled``."""
        with ExitStack() as stack:
            for path in paths:
                with _speaking(path), suppress(FileNotFoundError):
                    parent, name = stack.enter_context(self._parent(path))
                    stack.enter_context(_settled(parent, name, path))
            yield

    def make_directories(self, path: str, mode: int = 0o755) -> tuple[str, ...]:
        """Create ``path`` and what is missing above it; return what was created, top first.

        ``mode`` is that of ``path`` itself; what is made above it is open to read.
        """
        created = []
        with _speaking(path):
            for directory in self.missing_directories(path):
                with self._parent(directory) as (parent, name):
                    os.mkdir(name, mode if directory == path else 0o755, dir_fd=parent)
                    os.fsync(parent)
                created.append(directory)
        return tuple(created)

    def missing_directories(self, path: str) -> tuple[str, ...]:
        parts = path.strip("/").split("/")
        prefixes = ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
        return tuple(each for each in prefixes if not os.path.lexists(self.base + each))

    def remove_directory_if_empty(self, path: str) -> None:
        with _speaking(path):
            try:
                with self._parent(path) as (parent, name):
                    os.rmdir(name, dir_fd=parent)
                    os.fsync(parent)
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}:
                    raise

    def append(self, path: str, line: bytes, *, from_offset: int) -> None:
        """Append one journal line after ``from_offset`` (cutting a torn tail) and sync it."""
        with _speaking(path), self._parent(path) as (parent, name):
            descriptor = os.open(name, _APPEND, 0o600, dir_fd=parent)
            try:
                if os.fstat(descriptor).st_size > from_offset:
                    os.ftruncate(descriptor, from_offset)
                _write_all(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.fsync(parent)

    def blocks(self, path: str) -> Iterator[bytes]:
        """Content of a file piece by piece, for files too large to hold."""
        with self._regular(path) as stream:
            while stream is not None and (block := stream.read(_COPY_BYTES)):
                yield block

    def size(self, path: str) -> int:
        with _speaking(path), self._parent(path) as (parent, name):
            return os.stat(name, dir_fd=parent, follow_symlinks=False).st_size

    def free_bytes(self, path: str) -> int:
        with _speaking(path):
            status = os.statvfs(self.base + path)
            return status.f_bavail * status.f_frsize

    def write_attribute(self, path: str, value: str) -> None:
        """Write an attribute of the PCI bus, or kernel.panic. Nothing is created or truncated."""
        if not path.startswith(_ATTRIBUTES):
            raise ConflictError("not-sysfs", path=path)
        with _speaking(path):
            descriptor = os.open(self.base.rstrip("/") + path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, value.encode("ascii"))
            finally:
                os.close(descriptor)

    def names_in(self, path: str) -> tuple[str, ...]:
        """Names in a directory of ours; none if it is not there."""
        try:
            return tuple(sorted(os.listdir(self.base + path)))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise fault_of(error, path) from error

    def is_ours(self, path: str) -> bool:
        """True if a directory is absent, or ours alone: nobody else can have written into it."""
        try:
            with self._directory(path.removeprefix("/").split("/")) as descriptor:
                status = os.fstat(descriptor)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise fault_of(error, path) from error
        others_may_write = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
        return status.st_uid == os.geteuid() and not others_may_write

    @contextmanager
    def locked(self, path: str) -> Iterator[int | None]:
        """Hold an exclusive lock on a directory; yields its descriptor, None if it is held.

        A directory that was removed and made anew meanwhile is another one: that counts as held.
        """
        import fcntl

        with _speaking(path), self._directory(path.removeprefix("/").split("/")) as directory:
            descriptor = os.dup(directory)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                current = os.stat(self.base.rstrip("/") + path, follow_symlinks=False)
            except (BlockingIOError, FileNotFoundError):
                yield None
                return
            mine = os.fstat(descriptor)
            same = (mine.st_dev, mine.st_ino) == (current.st_dev, current.st_ino)
            yield descriptor if same else None
        finally:
            os.close(descriptor)


def write_output(path: str, content: str | bytes) -> None:
    """Write a file where a person asked for it, readable by them alone.

    The directory is theirs to choose, links in it included; the name itself is replaced.
    """
    parent = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    target = f"{parent.rstrip('/')}/{os.path.basename(path)}"
    mine = FileImage(path=target, sha256=None, mode=0o600, owner=os.geteuid(), group=os.getegid())
    name = f".hostpci-{secrets.token_hex(8)}.tmp"
    raw = content.encode("utf-8") if isinstance(content, str) else content
    HostFiles("/").replace(target, (raw,), temporary=name, like=mine)


@contextmanager
def _settled(parent: int, name: str, path: str) -> Iterator[None]:
    """Around a change of what ``name`` means, in a place that a boot loader reads.

    At every moment a reader that knows of no journal finds the old file whole or the new one
    (grub-core/fs/ext2.c ignores needs_recovery). What was written before has its place on the disk
    when the name moves. The old file is held open, and so gives its blocks to nobody, until
    the new name has its place as well.
    """
    if not path.startswith(_BOOT):
        yield
        return
    try:
        old = os.open(name, _READ, dir_fd=parent)
    except FileNotFoundError:
        old = None
    try:
        _checkpoint(parent)
        yield
    finally:
        _checkpoint(parent)
        if old is not None:
            os.close(old)


def _checkpoint(directory: int) -> None:
    """Write what ext4 has in its journal to where it belongs.

    Others refuse, which is fine: ZFS and btrfs keep the old blocks until the new tree is whole,
    FAT has no journal. On XFS the journal is left to the kernel, as by every other program.
    """
    import fcntl

    with suppress(OSError):
        fcntl.ioctl(directory, _EXT4_IOC_CHECKPOINT, bytes(4))


def _refuse_link(parent: int, name: str, path: str) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise EnvironmentFault("not-a-file", path=path)


def _write_new(parent: int, name: str, content: Iterable[bytes], like: FileImage) -> None:
    descriptor = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        for block in content:
            _write_all(descriptor, block)
        if (os.geteuid(), os.getegid()) != (like.owner, like.group):
            os.fchown(descriptor, like.owner, like.group)
        os.fchmod(descriptor, like.mode)
        for attribute, value in (like.xattrs or {}).items():
            os.setxattr(descriptor, attribute, bytes.fromhex(value))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_xattrs(descriptor: int) -> dict[str, str] | None:
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ENOSYS}:
            return None
        raise
    return {name: os.getxattr(descriptor, name).hex() for name in names} or None
