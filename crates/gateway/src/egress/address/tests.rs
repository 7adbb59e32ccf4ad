//! The table of all special ranges: first, last, and the neighbours outside.

use proptest::prelude::*;

use super::*;

/// IANA's IPv4 registry of special-purpose addresses, and multicast: first and last address.
const V4: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),       // this network
    ("10.0.0.0", "10.255.255.255"),     // private
    ("100.64.0.0", "100.127.255.255"),  // shared by providers
    ("127.0.0.0", "127.255.255.255"),   // loopback
    ("168.63.129.16", "168.63.129.16"), // Azure's host agent (not in the registry)
    ("169.254.0.0", "169.254.255.255"), // link-local, metadata of clouds
    ("172.16.0.0", "172.31.255.255"),   // private
    ("192.0.0.0", "192.0.0.255"),       // protocol assignments, with all entries inside
    ("192.0.2.0", "192.0.2.255"),       // documentation 1
    ("192.31.196.0", "192.31.196.255"), // AS112
    ("192.52.193.0", "192.52.193.255"), // AMT
    ("192.88.99.0", "192.88.99.255"),   // 6to4 relays
    ("192.168.0.0", "192.168.255.255"), // private
    ("192.175.48.0", "192.175.48.255"), // AS112
    ("198.18.0.0", "198.19.255.255"),   // benchmarks
    ("198.51.100.0", "198.51.100.255"), // documentation 2
    ("203.0.113.0", "203.0.113.255"),   // documentation 3
    ("224.0.0.0", "239.255.255.255"),   // multicast
    ("240.0.0.0", "255.255.255.255"),   // reserved, broadcast
];

/// IANA's IPv6 registry likewise, and what lies outside global unicast.
const V6: &[(&str, &str)] = &[
    ("::", "::"),                                                // unspecified
    ("::1", "::1"),                                              // loopback
    ("::2", "::fffe:ffff:ffff"),                                 // IPv4-compatible and below
    ("::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff"),      // not given out
    ("64:ff9b::1:0:0", "64:ff9b:0:ffff:ffff:ffff:ffff:ffff"),    // not given out
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),       // NAT64 for local use
    ("100::", "100::ffff:ffff:ffff:ffff"),                       // discard
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),            // dummy prefix
    ("64:ff9b:2::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),  // not given out
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),        // protocol assignments
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),          // Teredo
    ("2001:1::1", "2001:1::3"),                                  // anycast of PCP, TURN, DNS-SD
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),           // benchmarks
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),        // AMT
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),     // AS112
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),      // ORCHID
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),      // ORCHIDv2
    ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),      // drone tags
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),    // documentation
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // 6to4
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"), // AS112
    ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // the old test network
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),        // documentation
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // not given out, and all below
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // segment routing
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // unique local
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // link-local
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // site-local
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),       // multicast
];

fn v4(text: &str) -> u32 {
    text.parse::<Ipv4Addr>().unwrap().to_bits()
}

fn v6(text: &str) -> u128 {
    text.parse::<Ipv6Addr>().unwrap().to_bits()
}

fn public(text: &str) -> bool {
    is_public(text.parse().unwrap())
}

fn public_v4(bits: u32) -> bool {
    is_public(Ipv4Addr::from_bits(bits).into())
}

fn public_v6(bits: u128) -> bool {
    is_public(Ipv6Addr::from_bits(bits).into())
}

fn special_v4(bits: u32) -> bool {
    V4.iter()
        .any(|(first, last)| (v4(first)..=v4(last)).contains(&bits))
}

/// Whether the table has an IPv6 address, or the IPv4 address in it.
fn special_v6(bits: u128) -> bool {
    let last = u32::try_from(bits & u128::from(u32::MAX)).unwrap();
    if [v6("::ffff:0:0"), v6("64:ff9b::")].contains(&(bits & !u128::from(u32::MAX))) {
        return special_v4(last);
    }
    V6.iter()
        .any(|(first, last)| (v6(first)..=v6(last)).contains(&bits))
}

#[test]
fn no_special_ipv4_range_is_public_and_its_neighbours_are() {
    for (first, last) in V4 {
        assert!(!public(first) && !public(last), "{first} to {last}");
        let before = v4(first).checked_sub(1);
        let after = v4(last).checked_add(1);
        for neighbour in before.into_iter().chain(after) {
            let shown = Ipv4Addr::from_bits(neighbour);
            assert_eq!(public_v4(neighbour), !special_v4(neighbour), "{shown}");
        }
    }
}

#[test]
fn no_special_ipv6_range_is_public_and_its_neighbours_are() {
    for (first, last) in V6 {
        assert!(!public(first) && !public(last), "{first} to {last}");
        let before = v6(first).checked_sub(1);
        let after = v6(last).checked_add(1);
        for neighbour in before.into_iter().chain(after) {
            let shown = Ipv6Addr::from_bits(neighbour);
            assert_eq!(public_v6(neighbour), !special_v6(neighbour), "{shown}");
        }
    }
}

#[test]
fn ordinary_addresses_are_public() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "104.18.6.192",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2606:4700::6812:6c0",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "2001:200::1",
        "3fff:1000::1",
    ] {
        assert!(public(address), "{address}");
    }
}

#[test]
fn an_embedded_ipv4_address_is_looked_at_or_refused() {
    for private in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.100.100.200",
    ] {
        assert!(!public(&format!("::ffff:{private}")), "mapped");
        assert!(!public(&format!("64:ff9b::{private}")), "NAT64");
    }
    for reachable in ["8.8.8.8", "104.18.6.192"] {
        assert!(public(&format!("::ffff:{reachable}")), "mapped");
        assert!(public(&format!("64:ff9b::{reachable}")), "NAT64");
        assert!(!public(&format!("::{reachable}")), "IPv4-compatible");
        assert!(!public(&format!("::ffff:0:{reachable}")), "translated");
        assert!(
            !public(&format!("64:ff9b:1::{reachable}")),
            "NAT64 for local use"
        );
        assert!(!public(&format!("2606:4700::5efe:{reachable}")), "ISATAP");
        assert!(
            !public(&format!("2606:4700::200:5efe:{reachable}")),
            "ISATAP"
        );
    }
    assert!(!public("2002:7f00:1::"), "6to4 of 127.0.0.1");
    assert!(
        !public("2001:0:4136:e378:8000:63bf:80ff:fffe"),
        "Teredo of 127.0.0.1"
    );
}

proptest! {
    #[test]
    fn any_ipv4_address_is_public_unless_the_table_has_it(bits: u32) {
        prop_assert_eq!(public_v4(bits), !special_v4(bits));
        let mapped = Ipv4Addr::from_bits(bits).to_ipv6_mapped();
        prop_assert_eq!(is_public(mapped.into()), !special_v4(bits));
    }

    #[test]
    fn any_ipv6_address_is_public_unless_the_table_has_it(bits: u128, high in 0x1f00_u16..0x4100) {
        let near = bits >> 16 | u128::from(high) << 112;
        for bits in [bits, near] {
            let isatap = is_isatap(Ipv6Addr::from_bits(bits));
            prop_assert_eq!(public_v6(bits), !special_v6(bits) && !isatap);
        }
    }
}
