//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everything in IANA's IPv4 registry of special-purpose addresses, the few entries included that
/// it calls globally reachable (no model lives there), multicast, and Azure's host agent, which
/// has an address that looks public.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The part of IPv6 that is given out for use in the whole internet.
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is special inside of it: protocol assignments (Teredo, ORCHID, benchmarks and more),
/// documentation, 6to4, the old test network, and the sink for stray DNS questions.
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is reachable from the whole internet and stands for nothing else. An IPv4
/// address that is embedded in an IPv6 one (mapped, or NAT64 with the well-known prefix) is looked
/// at instead; the other embeddings (6to4, Teredo, ISATAP, NAT64 for local use) are never public.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let mut special = SPECIAL_V4.iter();
    !special.any(|(network, bits)| within_v4(address, *network, *bits))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let (global, bits) = GLOBAL_UNICAST;
    let mut special = SPECIAL_V6.iter();
    within_v6(address, global, bits)
        && !special.any(|(network, bits)| within_v6(address, *network, *bits))
        && !is_isatap(address)
}

/// The IPv4 address that packets to this one end up at: `::ffff:a.b.c.d` or `64:ff9b::a.b.c.d`.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// An interface identifier of `0:5efe:a.b.c.d`, whatever its universal and group bits are: a
/// tunnel to an IPv4 address.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [_, _, _, _, high, low, ..] = address.segments();
    high & !0x0300 == 0 && low == 0x5efe
}

/// Whether the first `bits` bits are those of the network.
pub(super) fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => within_v4(address, network, bits),
        (IpAddr::V6(address), IpAddr::V6(network)) => within_v6(address, network, bits),
        _ => false,
    }
}

fn within_v4(address: Ipv4Addr, network: Ipv4Addr, bits: u32) -> bool {
    let differs = address.to_bits() ^ network.to_bits();
    differs.leading_zeros() >= bits
}

fn within_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    let differs = address.to_bits() ^ network.to_bits();
    differs.leading_zeros() >= bits
}

#[cfg(test)]
mod tests;
