"""Paths inside a store: which are allowed, and which are hidden.

In: text. Out: the same, or ValueError: only the program itself chooses names in a store.
"""


def checked(path: str) -> str:
    """The path, relative, with no empty part and none that leads out of the store.

    Raises:
        ValueError: it is not such a path.
    """
    if "\0" in path or {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"a path in a store is relative, without '.', '..' or empty parts, got {path!r}")
    return path


def is_hidden(name: str) -> bool:
    """Whether listings leave this file or folder out."""
    return name.startswith(("_", "."))
