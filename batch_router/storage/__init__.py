"""Where payloads lie: objects by name, one contract for every kind of storage."""

from .contract import ReadRange, Storage, StoredObject
from .folder import FolderStorage

__all__ = ["FolderStorage", "ReadRange", "Storage", "StoredObject"]
