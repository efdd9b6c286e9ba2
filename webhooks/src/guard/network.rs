//! A block of addresses: a CIDR, or one address alone.

use std::net::IpAddr;

/// The addresses that share their first `bits` with `address`. IPv4 and IPv6 never match each other.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The block of `address` and its prefix length; lengths past the family's end mean one address.
    pub(super) const fn new(address: IpAddr, bits: u8) -> Self {
        Self { address, bits }
    }

    /// Reads `10.0.0.0/8`, `fd00::/8` or one address; `None` for anything else, host bits set included: a typing
    /// mistake must not open more than was meant.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((address, bits)) = text.split_once('/') else {
            let address: IpAddr = text.parse().ok()?;
            return Some(Self::new(address, width(address)));
        };
        let address: IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok().filter(|bits| *bits <= width(address))?;
        let network = Self::new(address, bits);
        (network.key(address) << network.host_bits()? == number(address)).then_some(network)
    }

    /// Whether `address` lies inside.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.key(self.address) == self.key(address)
    }

    /// What all addresses of the block have in common.
    fn key(&self, address: IpAddr) -> u128 {
        self.host_bits().map_or(0, |bits| number(address) >> bits)
    }

    /// The bits that differ within the block; `None` when that is all 128, which cannot be shifted by.
    fn host_bits(&self) -> Option<u32> {
        Some(u32::from(width(self.address).saturating_sub(self.bits))).filter(|bits| *bits < 128)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let check = |network: &str, address: &str, expected: bool| {
            let inside = Network::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(inside, expected, "{network} {address}");
        };
        check("10.0.0.0/8", "10.255.255.255", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.0.0.7", "10.0.0.7", true);
        check("10.0.0.7", "10.0.0.8", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("fd00::/8", "fdff::1", true);
        check("fd00::/8", "fe00::1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", false);
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.0.0.1/8", "fd00::1/8", "10.0.0/8", "10.0.0.0/", "host", "::/0", "fe80::1%eth0"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
