//! Keeps webhooks out of the operator's own network: a URL that a customer typed must not become a request to a
//! private address (server-side request forgery).
//!
//! Two doors, both needed: [`check_url`] sees literal addresses, which no resolver is asked about; [`GuardResolver`]
//! sees what names resolve to, and the connection is made to exactly the addresses that it let through.

mod address;
mod allow_list;
mod network;
mod resolver;

use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

pub use allow_list::AllowList;
pub use resolver::{GuardResolver, Lookup, SystemLookup};

/// The longest URL that is looked at.
pub const URL_BYTES_MAX: usize = 2_048;

/// Why a URL, an address or an entry of the allow-list was refused. Never carries a path: chat URLs are secrets.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// Not a URL.
    #[error("not a valid URL: {0}")]
    Url(String),
    /// A scheme other than https, or http to a host that the operator has not named.
    #[error("scheme `{0}` is refused; use https, or let the operator put the host on the webhook allow-list")]
    Scheme(String),
    /// A user name or password in the URL.
    #[error("a user name or password in the URL is refused")]
    UserInfo,
    /// An address that is not public.
    #[error("address `{address}` is refused ({why}); the operator can put it on the webhook allow-list")]
    Address {
        /// The address.
        address: IpAddr,
        /// What sort of address it is.
        why: &'static str,
    },
    /// A name that means this machine.
    #[error("host `{0}` is refused (loopback); the operator can put it on the webhook allow-list")]
    Local(String),
    /// A name that resolves to nothing, or to nothing that may be reached.
    #[error("host `{0}` has no address")]
    NoAddress(String),
    /// An entry of the allow-list that is no host, address or network.
    #[error("allow-list: `{0}` is not a host, `host:port`, address or network such as `10.0.0.0/8`")]
    Entry(String),
}

/// Reads an endpoint's URL and refuses what can be refused before any name is resolved: other schemes than https
/// (http only to hosts on the allow-list), user names, literal addresses that are not public in whichever notation
/// (decimal, octal and hexadecimal hosts are addresses), zone ids, `localhost`.
///
/// ```
/// use liftgate_webhooks::guard::{AllowList, check_url};
///
/// let nothing = AllowList::default();
/// assert!(check_url("https://hooks.example.com/t/1", &nothing).is_ok());
/// assert!(check_url("https://2130706433/", &nothing).is_err()); // 127.0.0.1 in decimal
///
/// let internal = AllowList::parse(&["10.1.2.3".to_owned()])?;
/// assert!(check_url("http://10.1.2.3/hook", &internal).is_ok());
/// # Ok::<(), liftgate_webhooks::guard::GuardError>(())
/// ```
pub fn check_url(url: &str, allow: &AllowList) -> Result<Url, GuardError> {
    if url.len() > URL_BYTES_MAX {
        return Err(GuardError::Url(format!("longer than {URL_BYTES_MAX} bytes")));
    }
    let url = Url::parse(url).map_err(|error| GuardError::Url(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(GuardError::UserInfo);
    }
    let named = allow.names(&url);
    let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && named);
    if !scheme_fits {
        return Err(GuardError::Scheme(url.scheme().to_owned()));
    }
    let Some(host) = url.host() else {
        return Err(GuardError::Url("no host".to_owned()));
    };
    if named {
        return Ok(url);
    }
    match host {
        Host::Ipv4(v4) => refuse_unless_public(IpAddr::V4(v4), allow)?,
        Host::Ipv6(v6) => refuse_unless_public(IpAddr::V6(v6), allow)?,
        Host::Domain(name) => {
            let bare = name.strip_suffix('.').unwrap_or(name);
            if bare == "localhost" || bare.ends_with(".localhost") {
                return Err(GuardError::Local(name.to_owned()));
            }
        }
    }
    Ok(url)
}

/// Whether an address that `host` resolved to may be connected to on `port`: it is public, it is on the allow-list, or
/// the host itself is.
pub fn check_addr(address: IpAddr, host: &str, port: u16, allow: &AllowList) -> Result<(), GuardError> {
    let named = Host::parse(host).is_ok_and(|host| allow.has_name(&allow_list::undotted(host), Some(port)));
    if named { Ok(()) } else { refuse_unless_public(address, allow) }
}

fn refuse_unless_public(address: IpAddr, allow: &AllowList) -> Result<(), GuardError> {
    match address::refusal(address) {
        Some(why) if !allow.has_address(address) => Err(GuardError::Address { address, why }),
        _ => Ok(()),
    }
}
