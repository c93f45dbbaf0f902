"""Which addresses are those of the internet: what users name may not lead into the network of the workers."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Addresses of IPv4 within those of IPv6: the network translates the former, the latter is obsolete.
_NAT64, _6TO4 = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the internet, whatever the network of this machine makes of it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST or address in _6TO4:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
