"""Tar files of samples: what is in them, and where, without unpacking anything."""

import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from featurestore.errors import SourceError, Unreadable, in_short
from featurestore.fetch import refuse_size

# Headers can ask for sizes that no memory holds, numbers that are none, headers within headers.
_HOSTILE = (OSError, ValueError, EOFError, MemoryError, OverflowError, RecursionError)


class Member(NamedTuple):
    """A file in a tar: where its bytes lie."""

    offset: int
    size: int


def list_members(path: Path) -> dict[str, Member]:
    """Return the files in a tar by their names.

    Raises
    ------
    SourceError
        If the tar is damaged, truncated or compressed, or holds a link, a device, a path that leads
        out of it or a name twice: none of which has a place in a data set.
    """
    members: dict[str, Member] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            at = -1
            while (member := archive.next()) is not None:
                if member.size < 0 or archive.offset <= at:  # would be read for ever
                    raise SourceError(f"{path}: is damaged: a file in it has a negative size")
                at = archive.offset
                if member.isdir():
                    continue
                name = _check(path, member)
                if name in members:
                    raise SourceError(f"{path}: holds {name!r} twice; write it anew")
                members[name] = Member(member.offset_data, member.size)
            end = archive.offset
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(end)
            closing = file.read(tarfile.BLOCKSIZE)
    except SourceError:
        raise
    except (tarfile.TarError, *_HOSTILE) as error:
        raise SourceError(f"{path}: can't be read as a tar ({in_short(error)})") from None
    # At a header that makes no sense tarfile just stops.
    if len(closing) < tarfile.BLOCKSIZE or closing.strip(b"\0"):
        raise SourceError(f"{path}: is damaged or truncated at byte {end:,} of {size:,}")
    return members


def read_member(path: Path, member: Member) -> bytes:
    """Return the bytes of a file in a tar.

    Raises
    ------
    Unreadable
        If they aren't there any more.
    TooLarge
    """
    refuse_size(path, member.size)
    try:
        with path.open("rb") as file:
            file.seek(member.offset)
            data = file.read(member.size)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from None
    if len(data) < member.size:
        raise Unreadable(f"{path}: ends before byte {member.offset + member.size:,}")
    return data


def _check(path: Path, member: tarfile.TarInfo) -> str:
    """Return the name of a member that is an ordinary file; refuse all others."""
    shown = repr(member.name[:100])
    if member.issym() or member.islnk():
        raise SourceError(f"{path}: {shown} is a link; a data set's tars hold files alone")
    if not member.isreg() or member.issparse():
        raise SourceError(f"{path}: {shown} is no ordinary file")
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or "\0" in member.name:
        raise SourceError(f"{path}: {shown} leads out of the tar; don't use it")
    return name.as_posix()
