//! `postgres://user:password@host:port/database?sslmode=...`: what libpq's parameters mean here.

use std::{fmt, path::PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::tls::{Roots, Verify};

/// Why a URL is none. Never shows a value: it may hold the password, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It begins otherwise.
    #[error("it has to begin with postgres:// or postgresql://")]
    Scheme,
    /// It names no host, or the password holds characters that have to be escaped.
    #[error(
        "it has no host, or its user or password holds one of @ : / ? # % that is not written \
         as %40 %3A %2F %3F %23 %25"
    )]
    Host,
    /// `sslmode` has a value that is not known.
    #[error("sslmode has to be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// The file of `sslrootcert` can not be read, or holds no certificate.
    #[error("sslrootcert {}: {reason}", path.display())]
    RootCert {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Where a PostgreSQL is, who we are there, and how we make sure that it is the right one.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) config: Config,
    pub(super) verify: Verify,
}

/// The parameters that are ours to read.
#[derive(Default)]
struct Ours {
    mode: Option<String>,
    root_cert: Option<String>,
}

impl PostgresUrl {
    /// Reads a URL, and the file that `sslrootcert` names.
    ///
    /// `sslmode` is libpq's: `prefer` (the default) takes TLS where it is offered, `require` takes
    /// nothing else, neither asks who the other side is; `verify-ca` wants a certificate of an
    /// authority that is trusted, `verify-full` also that it is for this host. Authorities are those
    /// in the file `sslrootcert`, otherwise (or with `system`) those of the operating system. With
    /// such a file, `require` means `verify-ca`, as it does there.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let scheme = ["postgres://", "postgresql://"]
            .into_iter()
            .any(|scheme| url.starts_with(scheme));
        if !scheme {
            return Err(UrlError::Scheme);
        }
        let (rest, ours) = split(url)?;
        let mut config: Config = rest.parse().map_err(|error| other(&error))?;
        let has_host = !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty();
        let is_whole = |host: &Host| match host {
            Host::Tcp(name) => !name.is_empty() && !name.contains(['@', '/', ' ']),
            Host::Unix(_) => true,
        };
        if !has_host || !config.get_hosts().iter().all(is_whole) {
            return Err(UrlError::Host);
        }
        let (mode, verify) = security(&ours)?;
        config.ssl_mode(mode);
        if config.get_application_name().is_none() {
            config.application_name("loomgate");
        }
        Ok(Self { config, verify })
    }
}

/// Takes the parameters out that tokio-postgres does not know.
fn split(url: &str) -> Result<(String, Ours), UrlError> {
    let mut ours = Ours::default();
    let Some((start, parameters)) = url.split_once('?') else {
        return Ok((url.to_owned(), ours));
    };
    let mut theirs = Vec::new();
    for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => ours.mode = Some(value),
            "sslrootcert" => ours.root_cert = Some(value),
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "passfile" | "service" => {
                return Err(UrlError::Other(format!("{name} is not supported")));
            }
            _ => theirs.push(parameter),
        }
    }
    Ok((format!("{start}?{}", theirs.join("&")), ours))
}

fn security(ours: &Ours) -> Result<(SslMode, Verify), UrlError> {
    let file = ours.root_cert.as_deref().filter(|path| *path != "system");
    let roots = || match file {
        Some(path) => Roots::of_file(path.into()),
        None => Ok(Roots::System),
    };
    // libpq: to name the authorities of the system is to want them checked.
    let default = match ours.root_cert.as_deref() {
        Some("system") => "verify-full",
        _ => "prefer",
    };
    Ok(match ours.mode.as_deref().unwrap_or(default) {
        "disable" => (SslMode::Disable, Verify::Nothing),
        "prefer" => (SslMode::Prefer, Verify::Nothing),
        "require" if file.is_none() => (SslMode::Require, Verify::Nothing),
        "require" | "verify-ca" => (SslMode::Require, Verify::Authority(roots()?)),
        "verify-full" => (SslMode::Require, Verify::Host(roots()?)),
        _ => return Err(UrlError::SslMode),
    })
}

fn other(error: &tokio_postgres::Error) -> UrlError {
    let cause = std::error::Error::source(error);
    UrlError::Other(cause.map_or_else(|| error.to_string(), ToString::to_string))
}

/// `user@host:port/database`, without the password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                Host::Unix(path) => write!(f, "{}", path.display())?,
            }
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        if let Some(name) = self.config.get_dbname() {
            write!(f, "/{name}")?;
        }
        // Where it names a schema, that is a database of its own.
        match self.config.get_options() {
            Some(options) => write!(f, " ({options})"),
            None => Ok(()),
        }
    }
}

/// The same.
impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(parameters: &str) -> (SslMode, Verify) {
        let url = format!("postgres://u:p@h/d{parameters}");
        let parsed = PostgresUrl::parse(&url).unwrap();
        (parsed.config.get_ssl_mode(), parsed.verify)
    }

    #[test]
    fn sslmode_is_that_of_libpq() {
        let system = || Roots::System;
        for (parameters, expected) in [
            ("", (SslMode::Prefer, Verify::Nothing)),
            ("?sslmode=disable", (SslMode::Disable, Verify::Nothing)),
            ("?sslmode=prefer", (SslMode::Prefer, Verify::Nothing)),
            ("?sslmode=require", (SslMode::Require, Verify::Nothing)),
            (
                "?sslmode=verify-ca",
                (SslMode::Require, Verify::Authority(system())),
            ),
            (
                "?application_name=x&sslmode=verify-full",
                (SslMode::Require, Verify::Host(system())),
            ),
            (
                "?sslrootcert=system",
                (SslMode::Require, Verify::Host(system())),
            ),
        ] {
            assert_eq!(mode(parameters), expected, "{parameters}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for (url, told) in [
            ("mysql://u:secret@h/d", "begin with postgres://"),
            ("postgres://u:secret@/d", "no host"),
            ("postgres://u:sec@secret@h/d", "%40"),
            ("postgres://u:secret@h/d?sslmode=allow", "verify-full"),
            ("postgres://u:secret@h/d?sslcert=secret", "sslcert is not"),
            ("postgres://u:secret@h/d?colour=secret", "colour"),
            ("postgres://u:secret@h:secret/d", "port"),
            (
                "postgres://u:secret@h/d?sslmode=verify-ca&sslrootcert=/nowhere/ca.crt",
                "sslrootcert /nowhere/ca.crt: ",
            ),
        ] {
            let error = PostgresUrl::parse(url).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(told), "{url}: {text}");
            assert!(!text.contains("secret"), "{url}: {text}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = PostgresUrl::parse("postgresql://me:se%40cret@one:1,two:2/db?sslmode=disable");
        let url = url.unwrap();
        assert_eq!(url.to_string(), "me@one:1,two:2/db");
        assert_eq!(format!("{url:?}"), "PostgresUrl(me@one:1,two:2/db)");
        assert_eq!(url.config.get_password(), Some(b"se@cret".as_slice()));
    }
}
