"""Who a client is, by its address: counted back over our own proxies, and what counts as one."""

import ipaddress


def find_client(*, forwarded: str, peer: str, proxies: int) -> str:
    """Return the address that the outermost of our `proxies` saw, or else the peer's.

    `forwarded` is the value of X-Forwarded-For; without proxies of ours it is worth nothing.
    """
    hops = [hop.strip() for hop in forwarded.split(",")]
    if proxies and len(hops) >= proxies and _is_address(hops[-proxies]):
        return hops[-proxies]
    return peer


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 of an IPv6 one."""
    if not _is_address(address):
        return address
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed.packed, 64), strict=False))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
