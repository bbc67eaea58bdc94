"""Archives and folders from elsewhere: everything that reads a foreign archive or an unpacked one does it through here.

What is read is bounded (`Limits`), in memory and in time. Damage anywhere is an error: BadArchive.
"""

from incamera.archives.ar import ArMember, read_ar_members
from incamera.archives.folder import FolderReader, Listing, list_folder, open_inside, open_regular, read_inside
from incamera.archives.limits import LIMITS, BadArchive, Limits, TooLarge, clean_path, shorten
from incamera.archives.packed import GZIP_MAGIC, PackedStream, is_packed, unpack_bytes
from incamera.archives.signature import Signature, find_signature
from incamera.archives.tar import BLOCK, Kind, TarMember, TarReader
from incamera.archives.zip import ZipReader, open_zip

__all__ = [
    "BLOCK",
    "GZIP_MAGIC",
    "LIMITS",
    "ArMember",
    "BadArchive",
    "FolderReader",
    "Kind",
    "Limits",
    "Listing",
    "PackedStream",
    "Signature",
    "TarMember",
    "TarReader",
    "TooLarge",
    "ZipReader",
    "clean_path",
    "find_signature",
    "is_packed",
    "list_folder",
    "open_inside",
    "open_regular",
    "open_zip",
    "read_ar_members",
    "read_inside",
    "shorten",
    "unpack_bytes",
]
