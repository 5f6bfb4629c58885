"""Every error that videohub raises on purpose, and the exit code that the command line gives for it.

A message says which model or file, what was found, what was expected and what to do. Exit codes: 1 a check failed,
2 misuse, 3 the data do not suffice, 4 download, upload, checksum or offline, 5 this machine cannot do it.
"""

from __future__ import annotations


class VideohubError(Exception):
    """Base of all errors; catch it to catch them all."""

    exit_code = 1


class UsageError(VideohubError, ValueError):
    """An argument makes no sense: a missing path, an option outside its range."""

    exit_code = 2


class RegistryError(VideohubError):
    """A registry file breaks the schema; the message names the file, the record and the field."""

    exit_code = 2


class UnknownNameError(VideohubError, LookupError):
    """No record has this name; the message offers the nearest ones."""

    exit_code = 2


class AmbiguousNameError(UnknownNameError):
    """Several records share this upstream name; the message lists them."""


class UnavailableError(VideohubError):
    """The record is known but there is no good file to be had: it was never released, or what was is broken."""

    exit_code = 4


class DownloadError(VideohubError):
    """A file could not be brought here."""

    exit_code = 4


class ChecksumError(DownloadError):
    """A file arrived, but it is not the one the registry (or an earlier download) knows."""


class OfflineError(DownloadError):
    """A file is not here, and the environment forbids to fetch it; the message says how to bring it."""


class UploadError(VideohubError):
    """A file could not be brought to a repository of the hub."""

    exit_code = 4


class CacheError(VideohubError):
    """The cache folder cannot do its part: no space, no permission, an entry that is damaged."""

    exit_code = 5


class FormatError(VideohubError):
    """A file is not a checkpoint, or a damaged one; the message says what it is."""


class UnsafeFileError(FormatError):
    """A file asks for code to be run or for more memory than it can need; the message names the global or the size."""


class ConversionError(VideohubError):
    """Keys or shapes of a checkpoint and of the network do not agree one to one; the message lists them."""


class KnownAnswerError(VideohubError):
    """A network does not give what is publicly known of its file's outputs; the message says what is the likelier
    cause: weights, arithmetic or preprocessing."""


class VideoError(VideohubError):
    """A video is empty, damaged or holds no pictures."""

    exit_code = 3


class DataError(VideohubError):
    """A data set cannot answer the question: an unreadable list, no usable video."""

    exit_code = 3


class FileMissingError(DataError):
    """A file of a data set is not where its location says; who reads many of them names each."""


class FileChangedError(DataError):
    """A file of a data set is no longer the one that a run began with; results of both would not be one result."""


class DeviceError(VideohubError):
    """This machine lacks what was asked for."""

    exit_code = 5
