//! What the operator lets webhooks reach although it is not public: named hosts, addresses, networks.

use std::net::IpAddr;

use url::{Host, Url};

use super::GuardError;
use super::network::Network;

/// The most entries an allow-list may have: every one is tried on every connection.
pub const ENTRIES_MAX: usize = 1_000;

/// Exceptions from the guard. Empty by default, which lets nothing but public https through.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AllowList {
    names: Vec<Name>,
    networks: Vec<Network>,
}

/// A host by name (or a literal address with a port); without a port, all ports.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Name {
    host: Host,
    port: Option<u16>,
}

impl AllowList {
    /// Reads entries such as `hooks.internal`, `hooks.internal:8443`, `10.1.2.3`, `[::1]:8080` or `10.0.0.0/8`.
    ///
    /// [`GuardError::Entry`] names the first that is none of these.
    pub fn parse(entries: &[String]) -> Result<Self, GuardError> {
        let mut list = Self::default();
        if entries.len() > ENTRIES_MAX {
            return Err(GuardError::Entry(format!("entry {}", ENTRIES_MAX + 1)));
        }
        for entry in entries {
            let text = entry.trim();
            match Network::parse(text) {
                Some(network) => list.networks.push(network),
                None => list.names.push(Name::parse(text).ok_or_else(|| GuardError::Entry(entry.clone()))?),
            }
        }
        Ok(list)
    }

    /// Whether the operator named this URL's host: by name, with its port or for all, or by its literal address.
    /// A named host may be http, and may resolve to any address.
    pub fn names(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let host = undotted(host.to_owned());
        let literal = match &host {
            Host::Domain(_) => None,
            Host::Ipv4(v4) => Some(IpAddr::V4(*v4)),
            Host::Ipv6(v6) => Some(IpAddr::V6(*v6)),
        };
        literal.is_some_and(|address| self.has_address(address)) || self.has_name(&host, url.port_or_known_default())
    }

    /// Whether an entry is this address or a network around it.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Whether an entry is this host, for all ports or this one.
    pub(super) fn has_name(&self, host: &Host, port: Option<u16>) -> bool {
        self.names.iter().any(|name| name.host == *host && (name.port.is_none() || name.port == port))
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        // A pattern or a path is no host; the parser alone would let some of their signs through.
        let plain = host.starts_with('[') || host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let host = Host::parse(host).ok().filter(|_| plain)?;
        Some(Self { host: undotted(host), port })
    }
}

/// The host without the dot that marks a name as complete: `example.com.` and `example.com` are one host.
pub(super) fn undotted(host: Host) -> Host {
    match host {
        Host::Domain(name) => Host::Domain(name.strip_suffix('.').unwrap_or(&name).to_owned()),
        literal => literal,
    }
}
