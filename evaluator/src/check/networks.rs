//! A set of networks: IPv4 and IPv6 apart, merged and sorted, so that a list of thousands takes one binary search.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The length of what comes before the IPv4 address in `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
const MAPPED_PREFIX_BITS: u8 = 96;

#[derive(Clone, Debug)]
pub(super) struct Networks {
    v4: Box<[Ipv4Net]>,
    v6: Box<[Ipv6Net]>,
}

impl Networks {
    /// Reads networks and single addresses; the error is the first text that is neither.
    pub(super) fn parse(texts: &[String]) -> Result<Self, &str> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for text in texts {
            match network(text).ok_or(text.as_str())? {
                IpNet::V4(network) => v4.push(network),
                IpNet::V6(network) => v6.push(network),
            }
        }
        let (mut v4, mut v6) = (Ipv4Net::aggregate(&v4), Ipv6Net::aggregate(&v6));
        v4.sort_unstable();
        v6.sort_unstable();
        Ok(Self { v4: v4.into(), v6: v6.into() })
    }

    /// Whether the address is in one of them; `::ffff:10.0.0.1` is `10.0.0.1`.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let after = self.v4.partition_point(|network| network.network() <= address);
                self.v4[..after].last().is_some_and(|network| network.contains(&address))
            }
            IpAddr::V6(address) => {
                let after = self.v6.partition_point(|network| network.network() <= address);
                self.v6[..after].last().is_some_and(|network| network.contains(&address))
            }
        }
    }
}

/// `10.0.0.0/8`, `10.1.2.3` alone, or the same for IPv6; bits past the length of the prefix are ignored.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))?;
    let IpNet::V6(mapped) = network else { return Some(network) };
    match (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(MAPPED_PREFIX_BITS)) {
        (Some(address), Some(length)) => Ipv4Net::new(address, length).ok().map(IpNet::V4),
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn contain(networks: &[&str], address: &str) -> bool {
        let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
        Networks::parse(&texts).unwrap().contain(address.parse().unwrap())
    }

    #[test]
    fn addresses_are_found_in_their_networks() {
        let many =
            ["10.0.0.0/8", "192.168.1.77/24", "203.0.113.5", "2001:db8::/32", "fe80::1", "::ffff:198.51.100.0/120"];
        for (address, expected) in [
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.168.1.1", true),
            ("192.168.2.1", false),
            ("203.0.113.5", true),
            ("203.0.113.6", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("fe80::1", true),
            ("fe80::2", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:11.1.2.3", false),
            ("198.51.100.200", true),
        ] {
            assert_eq!(contain(&many, address), expected, "{address}");
        }
    }

    #[test]
    fn everything_is_everything_of_one_version() {
        assert!(contain(&["0.0.0.0/0"], "255.255.255.255") && contain(&["0.0.0.0/0"], "::ffff:0.0.0.0"));
        assert!(!contain(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(contain(&["::/0"], "2001:db8::1") && !contain(&["::/0"], "10.0.0.1"));
        let (first, last) = (Ipv4Addr::UNSPECIFIED.to_string(), Ipv6Addr::from(u128::MAX).to_string());
        assert!(contain(&["0.0.0.0/1", "128.0.0.0/1"], &first) && contain(&["::/1", "8000::/1"], &last));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for wrong in ["10.0.0.0/33", "10.0.0/8", "example.org", "", "10.0.0.1:80", "fe80::1%eth0"] {
            assert_eq!(Networks::parse(&["10.0.0.0/8".to_owned(), wrong.to_owned()]).unwrap_err(), wrong);
        }
    }
}
