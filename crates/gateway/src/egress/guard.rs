//! May these addresses be called for somebody else?

use std::net::{IpAddr, SocketAddr};

use super::{Exceptions, is_public};

/// What guarded connections have to pass.
#[derive(Debug, Clone)]
pub struct Guard {
    exceptions: Exceptions,
    own: Vec<SocketAddr>,
}

/// Why a guarded connection is not made. The text does not tell the address: what a name of the
/// operator's network resolves to is none of the caller's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host is, or resolves to, an address that is not public.
    #[error("the host's address is not public")]
    NotPublic(IpAddr),
    /// The host is this server.
    #[error("the host is this gateway itself")]
    OwnAddress(SocketAddr),
}

impl Guard {
    /// A guard that lets public addresses and exceptions pass, but not this server's own
    /// addresses. An own address of `0.0.0.0` or `[::]` stands for all that the machine has.
    pub fn new(exceptions: Exceptions, own: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            exceptions,
            own: own.into_iter().map(canonical).collect(),
        }
    }

    /// Checks what the host of a URL resolved to, before any connection: all of it has to pass.
    pub fn check(&self, host: &str, port: u16, addresses: &[SocketAddr]) -> Result<(), Refusal> {
        let excepted = self.exceptions.allow_host(host, port);
        for &address in addresses {
            if !excepted && !is_public(address.ip()) && !self.exceptions.allow_address(address) {
                return Err(Refusal::NotPublic(address.ip()));
            }
            let address = canonical(address);
            let local = address.ip().is_loopback() || address.ip().is_unspecified();
            self.check_own(address, local)?;
        }
        Ok(())
    }

    /// Checks the two ends of a connection that was just made: when both have one IP address, the
    /// connection does not leave this machine, and may lead to this server under a name that its
    /// own addresses do not show.
    pub fn check_connected(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), Refusal> {
        let (local, peer) = (canonical(local), canonical(peer));
        self.check_own(peer, peer.ip() == local.ip() || peer.ip().is_loopback())
    }

    /// `local`: whether the address is known to be one of this machine.
    fn check_own(&self, address: SocketAddr, local: bool) -> Result<(), Refusal> {
        let mut own = self.own.iter();
        let is_own = own.any(|own| {
            let any = own.ip().is_unspecified() && local;
            own.port() == address.port() && (any || own.ip() == address.ip())
        });
        if is_own {
            return Err(Refusal::OwnAddress(address));
        }
        Ok(())
    }
}

/// The same address without an IPv6 disguise.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(exceptions: &[&str], own: &[&str]) -> Guard {
        let exceptions: Vec<_> = exceptions.iter().map(|&text| text.to_owned()).collect();
        Guard::new(
            Exceptions::parse(&exceptions).unwrap(),
            own.iter().map(|text| text.parse().unwrap()),
        )
    }

    fn check(guard: &Guard, addresses: &[&str]) -> Result<(), Refusal> {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        guard.check("a.example", 80, &addresses)
    }

    fn own(address: &str) -> Result<(), Refusal> {
        Err(Refusal::OwnAddress(address.parse().unwrap()))
    }

    #[test]
    fn one_forbidden_address_refuses_the_host() {
        let guard = guard(&[], &[]);
        assert_eq!(check(&guard, &["8.8.8.8:80", "1.1.1.1:80"]), Ok(()));
        let refusal = check(&guard, &["8.8.8.8:80", "10.0.0.1:80"]).unwrap_err();
        assert_eq!(refusal, Refusal::NotPublic("10.0.0.1".parse().unwrap()));
        assert_eq!(refusal.to_string(), "the host's address is not public");
    }

    #[test]
    fn exceptions_are_by_address_or_by_name() {
        let by_address = guard(&["10.0.0.0/8"], &[]);
        assert_eq!(check(&by_address, &["10.0.0.1:80", "8.8.8.8:80"]), Ok(()));
        assert!(check(&by_address, &["10.0.0.1:80", "192.168.0.1:80"]).is_err());
        let by_name = guard(&["a.example:80"], &[]);
        assert_eq!(check(&by_name, &["192.168.0.1:80"]), Ok(()));
        let addresses = ["192.168.0.1:80".parse().unwrap()];
        assert!(by_name.check("a.example", 81, &addresses).is_err());
        assert!(by_name.check("b.example", 80, &addresses).is_err());
    }

    #[test]
    fn own_addresses_are_refused_even_when_excepted() {
        let guard = guard(&["127.0.0.0/8", "a.example"], &["127.0.0.1:8787"]);
        assert_eq!(check(&guard, &["127.0.0.1:8787"]), own("127.0.0.1:8787"));
        let mapped = check(&guard, &["[::ffff:127.0.0.1]:8787"]);
        assert_eq!(mapped, own("127.0.0.1:8787"));
        assert_eq!(check(&guard, &["127.0.0.1:8788"]), Ok(()));
    }

    #[test]
    fn a_server_on_all_addresses_is_found_by_both_ends_of_a_connection() {
        for any in ["0.0.0.0:8787", "[::]:8787"] {
            let guard = guard(&["0.0.0.0/0", "::/0"], &[any]);
            for local in [
                "127.0.0.1:8787",
                "127.9.9.9:8787",
                "[::1]:8787",
                "0.0.0.0:8787",
            ] {
                assert_eq!(check(&guard, &[local]), own(local));
            }
            assert_eq!(check(&guard, &["8.8.8.8:8787"]), Ok(()));
            let ends = |local: &str, peer: &str| {
                guard.check_connected(local.parse().unwrap(), peer.parse().unwrap())
            };
            assert_eq!(ends("8.8.8.8:50000", "8.8.8.8:8787"), own("8.8.8.8:8787"));
            assert_eq!(
                ends("127.0.0.1:50000", "127.0.0.2:8787"),
                own("127.0.0.2:8787")
            );
            assert_eq!(ends("8.8.8.8:50000", "8.8.8.8:8788"), Ok(()));
            assert_eq!(ends("10.0.0.1:50000", "8.8.8.8:8787"), Ok(()));
        }
    }
}
