//! The base URL that a caller named (`x-portkey-custom-host`, or a config's `custom_host`).

use url::{Host, Url};

use super::{Exceptions, is_public};

/// The longest URL that is looked at, in bytes.
const MAX_BYTES: usize = 2_048;

/// The most labels of a host name.
const MAX_LABELS: usize = 10;

/// Endings of names that never lead out of the operator's network.
const LOCAL_ENDINGS: &[&str] = &[
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "test",
];

/// Names under which clouds give out credentials and that no ending above covers.
const METADATA_NAMES: &[&str] = &["metadata.azure.com"];

/// Why a host that a caller named is not called. All of them are told as `Invalid custom host`;
/// [`Self::reason`] has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid custom host")]
pub enum InvalidHost {
    /// Empty, or longer than 2,048 bytes.
    Length,
    /// Control characters, spaces, or one of `<>{}|\^` and the backtick.
    Characters,
    /// No absolute URL of `http` or `https`.
    Scheme,
    /// A user, a password, or an `@` anywhere.
    Credentials,
    /// A host that is not plain lower or upper case ASCII: letters, digits, dots and hyphens, an
    /// IPv4 address in its usual form, or an IPv6 address in brackets.
    Host,
    /// No port from 1 to 65535.
    Port,
    /// A name that can only be local, belongs to a cloud's metadata, or is Portkey's own.
    Reserved,
    /// An address that is not public.
    NotPublic,
}

impl InvalidHost {
    /// What is wrong, in a few words, to be logged or shown after the fixed message.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Length => "it is empty or too long",
            Self::Characters => "it has characters that no URL has",
            Self::Scheme => "it is no absolute http or https URL",
            Self::Credentials => "it has a user or a password",
            Self::Host => "its host is no plain name or address",
            Self::Port => "its port is none",
            Self::Reserved => "its host is reserved or local",
            Self::NotPublic => "its address is not public",
        }
    }
}

/// Checks a base URL that a caller named, before any connection, by its text alone; what its host
/// resolves to is checked when the connection is made. Rules: `contract/portkey.md` section 2.1,
/// but IPv6 literals may be called when they are public, and names without a dot may not, unless
/// they are exceptions. The URL that is given back has no fragment.
pub fn check_url(text: &str, exceptions: &Exceptions) -> Result<Url, InvalidHost> {
    let mut url = parse(text)?;
    let port = url.port_or_known_default().unwrap_or_default();
    if port == 0 {
        return Err(InvalidHost::Port);
    }
    match url.host().ok_or(InvalidHost::Host)? {
        Host::Domain(name) => check_name(name, port, exceptions)?,
        Host::Ipv4(address) => check_address(address.into(), port, exceptions)?,
        Host::Ipv6(address) => check_address(address.into(), port, exceptions)?,
    }
    url.set_fragment(None);
    Ok(url)
}

/// Reads the URL as everybody else would read it: whatever different readers could take for
/// different hosts is refused.
fn parse(text: &str) -> Result<Url, InvalidHost> {
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(InvalidHost::Length);
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || "<>{}|\\^`".contains(c);
    if text.contains(odd) {
        return Err(InvalidHost::Characters);
    }
    let (scheme, rest) = text.split_once("://").ok_or(InvalidHost::Scheme)?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(InvalidHost::Scheme);
    }
    if text.contains('@') {
        return Err(InvalidHost::Credentials);
    }
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::InvalidPort => InvalidHost::Port,
        _ => InvalidHost::Host,
    })?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let written = host_of(authority);
    let read = url.host_str().unwrap_or_default();
    // `0x7f.1`, `%31`, full-width letters and the like are read as something else than written.
    let same = matches!(url.host(), Some(Host::Ipv6(_))) || written.eq_ignore_ascii_case(read);
    if !same || written.is_empty() {
        return Err(InvalidHost::Host);
    }
    if authority.ends_with(':') {
        return Err(InvalidHost::Port);
    }
    Ok(url)
}

/// An authority without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, _)) if !authority.ends_with(']') => host,
        _ => authority,
    }
}

fn check_name(name: &str, port: u16, exceptions: &Exceptions) -> Result<(), InvalidHost> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    let labels = name.split('.').count();
    if name.len() > 253 || labels > MAX_LABELS || !name.split('.').all(label) {
        return Err(InvalidHost::Host);
    }
    if exceptions.allow_host(name, port) {
        return Ok(());
    }
    let ending = name.rsplit('.').next().unwrap_or_default();
    let local = labels == 1 || LOCAL_ENDINGS.contains(&ending);
    if local || METADATA_NAMES.contains(&name) || name.contains("api.portkey") {
        return Err(InvalidHost::Reserved);
    }
    Ok(())
}

fn check_address(
    address: std::net::IpAddr,
    port: u16,
    exceptions: &Exceptions,
) -> Result<(), InvalidHost> {
    if is_public(address) || exceptions.allow_address((address, port).into()) {
        return Ok(());
    }
    Err(InvalidHost::NotPublic)
}

#[cfg(test)]
mod tests;
