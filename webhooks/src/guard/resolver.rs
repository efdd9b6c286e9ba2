//! The resolver of the HTTP client: looks a name up once and hands on only the addresses that may be reached, so that
//! the address that was checked is the one connected to and a name that changes its mind (DNS rebinding) gains nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AllowList, GuardError, refuse_unless_public};

/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Asks for the addresses of a name.
pub trait Lookup: Send + Sync {
    /// The addresses of `host`, in the order to try them.
    fn lookup(&self, host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) }.boxed()
    }
}

/// Resolves names for one client. A resolver is not told the port, so a client is either for hosts that the operator
/// named (port included, see [`AllowList::names`]), which may resolve to anything, or for all the others.
#[derive(Clone)]
pub struct GuardResolver {
    lookup: Arc<dyn Lookup>,
    reach: Reach,
}

#[derive(Clone)]
enum Reach {
    Named,
    Others(AllowList),
}

impl GuardResolver {
    /// For hosts that are not named: public addresses and those on the list.
    pub fn guarded(lookup: Arc<dyn Lookup>, allow: AllowList) -> Self {
        Self { lookup, reach: Reach::Others(allow) }
    }

    /// Only for requests whose URL [`AllowList::names`] has said yes to.
    pub fn named(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, reach: Reach::Named }
    }
}

impl fmt::Debug for GuardResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardResolver")
    }
}

impl Resolve for GuardResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (host, reach) = (name.as_str().to_owned(), self.reach.clone());
        let addresses = self.lookup.lookup(host.clone());
        Box::pin(async move {
            let admitted = admit(&host, addresses.await?, &reach)?;
            let addresses: Addrs = Box::new(admitted.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// The addresses that may be reached, in their order; the first refusal when there are none.
fn admit(host: &str, addresses: Vec<IpAddr>, reach: &Reach) -> Result<Vec<IpAddr>, GuardError> {
    let mut refused = None;
    let mut admitted = Vec::new();
    for address in addresses.into_iter().take(ADDRESSES_MAX) {
        let checked = match reach {
            Reach::Named => Ok(()),
            Reach::Others(allow) => refuse_unless_public(address, allow),
        };
        match checked {
            Ok(()) => admitted.push(address),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if admitted.is_empty() {
        return Err(refused.unwrap_or_else(|| GuardError::NoAddress(host.to_owned())));
    }
    Ok(admitted)
}
