"""Names of media types."""

_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "application/x-pdf": "application/pdf",
}


def plain_media_type(said: str) -> str:
    """The registered name of a media type, in lower case and without parameters: `image/jpeg` for `Image/JPG; q=1`."""
    plain = said.partition(";")[0].strip().lower()
    return _ALIASES.get(plain, plain)
