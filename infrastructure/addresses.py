"""Which addresses are public, and what keeps the others from being so."""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA special-purpose address registries (RFC 6890 and updates), with the clouds' metadata services
# first because some of those lie in public space. The flags of `ipaddress` are not used: they
# change between Python releases, and those of 3.11 call several of these networks public.
_CLASSES = {
    "a cloud metadata address": "169.254.169.254 169.254.170.2 168.63.129.16 100.100.100.200 "
    "192.0.0.192 fd00:ec2::254 fd20:ce::254",
    "an unspecified address": "0.0.0.0/8 ::",
    "a loopback address": "127.0.0.0/8 ::1",
    "a private address": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
    "a link-local address": "169.254.0.0/16 fe80::/10",
    "a shared address of a carrier's network": "100.64.0.0/10",
    "a multicast address": "224.0.0.0/4 ff00::/8",
    "a documentation address": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 "
    "3fff::/20",
    "a benchmarking address": "198.18.0.0/15 2001:2::/48",
    "a reserved address": "192.0.0.0/24 192.88.99.0/24 240.0.0.0/4 2001::/23 3ffe::/16",
}
_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), name)
    for name, networks in _CLASSES.items()
    for network in networks.split()
)
# The only part of the IPv6 space that is given out for public use (RFC 4291, RFC 3587).
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Low 32 bits are an IPv4 address: compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052).
_CARRIES_IPV4_LAST = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
_ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214, section 6.1


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks of `ALLOW_PRIVATE_NETWORKS`: comma-separated CIDRs, IPv4 or IPv6; blank = none.

    Raises `ValueError` with one line that names the setting and the wrong piece.
    """
    pieces = [piece.strip() for piece in text.split(",")] if text.strip() else []
    return tuple(_parse_network(piece) for piece in pieces)


def _parse_network(piece: str) -> Network:
    try:
        if "%" in piece:
            raise ValueError("A zone identifier means nothing to another machine.")
        network = ip_network(piece, strict=False)
    except ValueError:
        raise ValueError(
            f"ALLOW_PRIVATE_NETWORKS: {piece!r} is not a network such as 10.0.0.0/8"
        ) from None
    if "/" in piece and ip_address(piece.partition("/")[0]) != network.network_address:
        raise ValueError(
            f"ALLOW_PRIVATE_NETWORKS: {piece!r} has bits set beyond its prefix; "
            f"the network is {network}"
        )
    return network


def address_class(address: Address) -> str | None:
    """What keeps an address from being public, as a noun phrase; None for a public one."""
    if embedded_ipv4(address):
        return "an IPv6 address that carries an IPv4 address"
    for network, name in _SPECIAL:
        if address in network:
            return name
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "a reserved address"
    return None


def embedded_ipv4(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, compatible, translated, NAT64
    (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380: server and client) and ISATAP (RFC 5214)."""
    if isinstance(address, IPv4Address) or int(address) <= 1:
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    last = IPv4Address(int(address) & 0xFFFF_FFFF)
    isatap = (int(address) >> 32 & 0xFFFF_FFFF) in _ISATAP_MARKS
    return (last,) if isatap or any(address in net for net in _CARRIES_IPV4_LAST) else ()
