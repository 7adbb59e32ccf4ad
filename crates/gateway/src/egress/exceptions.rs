//! What the operator lets guarded calls reach although it is not public.

use std::net::{IpAddr, SocketAddr};

use super::address::within;

/// Addresses, networks and host names from the operator's config, each with or without a port.
#[derive(Debug, Clone, Default)]
pub struct Exceptions {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    place: Place,
    /// Absent: any port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// All addresses whose first bits are these; never an IPv4-mapped one.
    Network(IpAddr, u32),
    /// A name in lower case, and whatever it resolves to.
    Host(String),
}

impl Exceptions {
    /// Reads entries such as `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `localhost`,
    /// `gpu.internal:8000`, `[::1]:9000`. An address also allows names that resolve to it; a name
    /// allows whatever it resolves to. The error names the entry that is none of these.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let entries = entries.iter().map(|text| {
            parse_entry(text.trim()).ok_or_else(|| {
                format!("{text:?} is no address, network or host name (with or without a port)")
            })
        });
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// Whether an address may be called although it is not public.
    pub fn allow_address(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.entries.iter().any(|entry| match &entry.place {
            Place::Network(network, bits) => {
                entry.allows_port(address.port()) && within(ip, *network, *bits)
            }
            Place::Host(_) => false,
        })
    }

    /// Whether a name may be called, whatever it resolves to.
    pub fn allow_host(&self, host: &str, port: u16) -> bool {
        self.entries.iter().any(|entry| match &entry.place {
            Place::Network(..) => false,
            Place::Host(name) => entry.allows_port(port) && name.eq_ignore_ascii_case(host),
        })
    }
}

impl Entry {
    fn allows_port(&self, port: u16) -> bool {
        self.port.is_none_or(|allowed| allowed == port)
    }
}

fn parse_entry(text: &str) -> Option<Entry> {
    if let Some((address, bits)) = text.split_once('/') {
        let place = parse_network(address.parse().ok()?, bits.parse().ok()?)?;
        return Some(Entry { place, port: None });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(single(address, None));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(single(address.ip(), Some(parse_port(address.port())?)));
    }
    if let Some(bare) = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        return Some(single(IpAddr::V6(bare.parse().ok()?), None));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(parse_port(port.parse().ok()?)?)),
        None => (text, None),
    };
    let place = is_name(name).then(|| Place::Host(name.to_ascii_lowercase()))?;
    Some(Entry { place, port })
}

fn single(address: IpAddr, port: Option<u16>) -> Entry {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 32 } else { 128 };
    Entry {
        place: Place::Network(address, bits),
        port,
    }
}

/// A network whose address has no bits beyond its length: `10.0.0.1/8` is more likely a mistake
/// than a wish for sixteen million addresses.
fn parse_network(address: IpAddr, bits: u32) -> Option<Place> {
    let beyond = match address {
        IpAddr::V4(address) if bits <= 32 => address
            .to_bits()
            .checked_shl(bits)
            .is_some_and(|rest| rest != 0),
        IpAddr::V6(address) if bits <= 128 => address
            .to_bits()
            .checked_shl(bits)
            .is_some_and(|rest| rest != 0),
        _ => return None,
    };
    // A mapped network would never match: addresses are unwrapped before they are looked up.
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    (!beyond && !mapped).then_some(Place::Network(address, bits))
}

fn parse_port(port: u16) -> Option<u16> {
    (port != 0).then_some(port)
}

/// A name that is not half an address: its last label is no number.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exceptions(entries: &[&str]) -> Exceptions {
        let entries: Vec<_> = entries.iter().map(|&text| text.to_owned()).collect();
        Exceptions::parse(&entries).unwrap()
    }

    fn address_allowed(exceptions: &Exceptions, address: &str) -> bool {
        exceptions.allow_address(address.parse().unwrap())
    }

    #[test]
    fn without_entries_nothing_is_allowed() {
        let none = Exceptions::default();
        assert!(!address_allowed(&none, "127.0.0.1:80"));
        assert!(!none.allow_host("localhost", 80));
    }

    #[test]
    fn addresses_and_networks_allow_what_is_in_them() {
        let some = exceptions(&[" 127.0.0.1 ", "10.0.0.0/8", "fd00::/8", "::2", "[::3]"]);
        for address in [
            "127.0.0.1:80",
            "127.0.0.1:9",
            "10.255.255.255:1",
            "[fdff::1]:443",
            "[::2]:80",
            "[::3]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.1.2.3]:80",
        ] {
            assert!(address_allowed(&some, address), "{address}");
        }
        for address in [
            "127.0.0.2:80",
            "11.0.0.0:80",
            "9.255.255.255:80",
            "[fe00::1]:80",
            "[::4]:80",
        ] {
            assert!(!address_allowed(&some, address), "{address}");
        }
        assert!(address_allowed(
            &exceptions(&["0.0.0.0/0"]),
            "192.168.0.1:80"
        ));
        assert!(address_allowed(&exceptions(&["::/0"]), "[::1]:80"));
        assert!(address_allowed(
            &exceptions(&["::ffff:10.0.0.1"]),
            "10.0.0.1:80"
        ));
    }

    #[test]
    fn a_port_narrows_an_entry() {
        let some = exceptions(&["127.0.0.1:8000", "[::1]:9000", "gpu.internal:8000"]);
        assert!(address_allowed(&some, "127.0.0.1:8000"));
        assert!(!address_allowed(&some, "127.0.0.1:8001"));
        assert!(address_allowed(&some, "[::1]:9000"));
        assert!(!address_allowed(&some, "[::1]:9001"));
        assert!(some.allow_host("GPU.internal", 8000));
        assert!(!some.allow_host("gpu.internal", 8001));
    }

    #[test]
    fn a_name_allows_itself_only() {
        let some = exceptions(&["Localhost", "my_ollama"]);
        assert!(some.allow_host("localhost", 1) && some.allow_host("my_ollama", 2));
        for other in ["a.localhost", "localhost.", "localhos", "127.0.0.1"] {
            assert!(!some.allow_host(other, 1), "{other}");
        }
        assert!(!address_allowed(&some, "127.0.0.1:80"));
    }

    #[test]
    fn an_entry_that_is_neither_is_named() {
        for bad in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "fd00::1/8",
            "::/129",
            "10.0.0.0/",
            "/8",
            "10.0.0",
            "1.2.3.4.5",
            "host:",
            "host:0",
            "host:65536",
            "127.0.0.1:0",
            "[::1]:",
            "[::1",
            "a b",
            "*.internal",
            "http://host",
            "host/path",
            "a..b",
            ".a",
            "a.",
            "::ffff:10.0.0.0/104",
            "user@host",
            "[127.0.0.1]",
        ] {
            let error = Exceptions::parse(&["localhost".to_owned(), bad.to_owned()]).unwrap_err();
            assert!(error.starts_with(&format!("{bad:?} ")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,40}|[0-9a-f:./\\[\\]]{0,40}") {
            let _read = Exceptions::parse(&[text]);
        }

        #[test]
        fn an_address_allows_itself(address: SocketAddr) {
            prop_assume!(address.port() != 0);
            prop_assert!(address_allowed(&exceptions(&[&address.to_string()]), &address.to_string()));
            prop_assert!(address_allowed(&exceptions(&[&address.ip().to_string()]), &address.to_string()));
        }
    }
}
