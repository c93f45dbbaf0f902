"""A port of this machine that nothing listens on."""

import socket


def free_port(*preferred: int) -> int:
    """The first of the preferred ports that is free, or else any free one."""
    for port in (*preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")
