//! Where the database is, and within which bounds it is used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::secret::Secret;

/// Longest name of a schema, in bytes, as PostgreSQL has it.
const NAME_BYTES_MAX: usize = 63;

/// A PostgreSQL database, and within which bounds it is used.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    /// Read each time a connection is made.
    pub password: Option<Secret>,
    /// Certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The schema that holds our tables; made when it is missing.
    pub schema: String,
    /// Connections at most.
    pub connections: usize,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long it may wait for a lock.
    pub lock_timeout: Duration,
}

impl Address {
    /// Reads `postgres://user@host:port,host2/database?target_session_attrs=…&sslmode=…`. The error never shows the text.
    ///
    /// A certificate is always verified, with the host's name. Without `sslmode`, TLS is required unless every host is this
    /// machine; several hosts are asked for one that writes.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (url, sslmode, ca_file) = split_tls(url);
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            // Its own words show keys, never values.
            let why = std::error::Error::source(&error).map(ToString::to_string);
            why.unwrap_or_else(|| "expected postgres://user@host/database".to_owned())
        })?;
        if config.get_hosts().is_empty() {
            return Err("the URL names no host".to_owned());
        }
        if config.get_user().is_none() {
            return Err("the URL names no user".to_owned());
        }
        if config.get_options().is_some() {
            return Err("options= is not taken: a pooler refuses it".to_owned());
        }
        let is_here = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost"
                    || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        };
        let mode = match sslmode.as_deref() {
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            None if !config.get_hosts().iter().all(is_here) => SslMode::Require,
            None | Some("disable") => SslMode::Disable,
            Some(_) => {
                return Err("sslmode is verify-full or disable: what may be plain is".to_owned());
            }
        };
        config.ssl_mode(mode);
        if config.get_hosts().len() > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self {
            config,
            password: None,
            ca_file,
            schema: "tollbell".to_owned(),
            connections: 10,
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
        })
    }

    /// Whether the URL itself holds a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether a schema may have this name: small letters, digits and `_`, so that it needs no quotes anywhere.
    pub fn is_schema(name: &str) -> bool {
        let mut letters = name.chars();
        let first = letters.next();
        first.is_some_and(|c| c.is_ascii_lowercase() || c == '_')
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && name.len() <= NAME_BYTES_MAX
            && !name.starts_with("pg_")
    }
}

/// The same database with the same bounds. Tells a reload what stayed as it was.
impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
            && self.password == other.password
            && self.ca_file == other.ca_file
            && self.schema == other.schema
            && self.connections == other.connections
            && self.statement_timeout == other.statement_timeout
            && self.lock_timeout == other.lock_timeout
    }
}

/// Hosts, database and schema; no secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        let ports = self.config.get_ports();
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        write!(f, "/{database} (schema {})", self.schema)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Takes `sslmode` and `sslrootcert` out of the URL: the driver does not know all of their words.
fn split_tls(url: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((front, query)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let (mut mode, mut ca_file, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => ca_file = Some(PathBuf::from(value)),
            _ => rest.push(pair),
        }
    }
    let rest = rest.join("&");
    let url = if rest.is_empty() { front.to_owned() } else { format!("{front}?{rest}") };
    (url, mode, ca_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url).expect("parses")
    }

    #[test]
    fn tls_is_required_unless_the_database_is_here() {
        for (url, mode) in [
            ("postgres://t@db.example.com/t", SslMode::Require),
            ("postgres://t@db.example.com/t?sslmode=verify-full", SslMode::Require),
            ("postgres://t@db.example.com/t?sslmode=disable&connect_timeout=3", SslMode::Disable),
            ("postgres://t@127.0.0.1:5433/t", SslMode::Disable),
            ("postgres://t@[::1]/t", SslMode::Disable),
            ("postgres://t@localhost,db.example.com/t", SslMode::Require),
            ("postgres://t@%2Frun%2Fpostgresql/t", SslMode::Disable),
        ] {
            assert_eq!(parsed(url).config.get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn of_several_hosts_the_one_that_writes_is_meant() {
        let attrs = |url| parsed(url).config.get_target_session_attrs();
        assert_eq!(attrs("postgres://t@a,b/t"), TargetSessionAttrs::ReadWrite);
        assert_eq!(attrs("postgres://t@a/t"), TargetSessionAttrs::Any);
        assert_eq!(
            attrs("postgres://t@a/t?target_session_attrs=read-write"),
            TargetSessionAttrs::ReadWrite
        );
    }

    #[test]
    fn what_is_odd_is_refused_without_showing_secrets() {
        for url in [
            "postgres://t:hunter2@db/t?sslmode=prefer",
            "postgres://t:hunter2@db/t?options=-csearch_path%3Dx",
            "postgres://t:hunter2@db/t?nonsense=1",
            "postgres:///t",
            "postgres://db/t",
        ] {
            let why = Address::parse(url).expect_err(url);
            assert!(!why.contains("hunter2"), "{why}");
        }
        let shown = format!("{:?}", parsed("postgres://t:hunter2@db:5433/bell"));
        assert_eq!(shown, "Address(postgres://db:5433/bell (schema tollbell))");
    }

    #[test]
    fn schemas_need_no_quotes() {
        for (name, taken) in [
            ("tollbell", true),
            ("_t1", true),
            ("", false),
            ("1t", false),
            ("T", false),
            ("a\"b", false),
            ("pg_x", false),
        ] {
            assert_eq!(Address::is_schema(name), taken, "{name}");
        }
    }
}
