//! Addresses of clients: lists of those that are let in, and who called where proxies stand in front.
//!
//! An IPv4 address that comes in IPv6's clothes (`::ffff:10.0.0.1`) is the IPv4 address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The header in which proxies say whom they serve, each behind those before it.
pub const FORWARDED_FOR: &str = "x-forwarded-for";

/// One address, or all that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

/// The text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address such as 192.0.2.7, or a network such as 10.0.0.0/8 or 2001:db8::/32")]
pub struct NotANetwork;

impl Network {
    /// What stands behind the bits is no part of it.
    fn beginning_with(base: IpAddr, bits: u8) -> Self {
        let base = match base {
            IpAddr::V4(base) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
                IpAddr::from((u32::from(base) & mask).to_be_bytes())
            }
            IpAddr::V6(base) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
                IpAddr::from((u128::from(base) & mask).to_be_bytes())
            }
        };
        Self { base, bits }
    }

    /// Whether the address is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                same_start(u128::from(u32::from(base)), u128::from(u32::from(address)), 32_u8.saturating_sub(self.bits))
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                same_start(u128::from(base), u128::from(address), 128_u8.saturating_sub(self.bits))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether both are the same but for their last `free` bits.
fn same_start(one: u128, other: u128, free: u8) -> bool {
    (one ^ other).checked_shr(free.into()).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let written: IpAddr = address.parse().map_err(|_not_one| NotANetwork)?;
        let width = if written.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            // `u8` would read `+8` too.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse::<u8>().ok().filter(|bits| *bits <= width).ok_or(NotANetwork)?
            }
            Some(_) => return Err(NotANetwork),
        };
        match (written, written.to_canonical()) {
            // All IPv4 in IPv6's clothes share the first 96 bits; a wider network holds other addresses as well.
            (IpAddr::V6(_), base @ IpAddr::V4(_)) if bits >= 96 => Ok(Self::beginning_with(base, bits - 96)),
            (base, _) => Ok(Self::beginning_with(base, bits)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// Whose call it is that `peer` brought: with `hops` trusted proxies in front, the address that the farthest of them saw,
/// which is the `hops`-th from the right of what the header says. `values` are the header's, the last one first.
///
/// A call without the header came past the proxies: it is the peer's. Nobody knows whose it is where the header names fewer
/// addresses than there are proxies, or something else in that place.
pub fn client<'h>(peer: IpAddr, mut values: impl Iterator<Item = &'h [u8]>, hops: usize) -> Option<IpAddr> {
    let Some(place) = hops.checked_sub(1) else { return Some(peer.to_canonical()) };
    let Some(last) = values.next() else { return Some(peer.to_canonical()) };
    let mut said = std::iter::once(last).chain(values).flat_map(|value| value.rsplit(|byte| *byte == b','));
    let text = std::str::from_utf8(said.nth(place)?).ok()?.trim();
    address(text).map(|address| address.to_canonical())
}

/// An address as proxies write it: bare, in brackets, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(in_brackets).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().holds(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_begins_like_it_and_an_address_only_itself() {
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3/8", "10.9.9.9"), "what stands behind the bits does not count");
        assert_eq!("10.1.2.3/8".parse::<Network>(), "10.0.0.0/8".parse());
        assert_eq!("10.1.2.3/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:9::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "10.0.0.1"));
        assert!(holds("::1", "::1") && !holds("::1", "::2"));
    }

    #[test]
    fn ipv4_in_the_clothes_of_ipv6_is_ipv4_on_both_sides() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(holds("::ffff:10.0.0.0/104", "10.1.1.1") && !holds("::ffff:10.0.0.0/104", "11.1.1.1"));
        assert!(holds("::ffff:10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "office", "10.0.0.1:80", "10.0.0.0/8/9"]
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    fn whose(values: &[&str], hops: usize) -> Option<String> {
        let values = values.iter().rev().map(|value| value.as_bytes());
        client([10, 0, 0, 1].into(), values, hops).map(|address| address.to_string())
    }

    #[test]
    fn the_place_from_the_right_counts_and_what_a_client_wrote_before_does_not() {
        assert_eq!(whose(&["203.0.113.9"], 0).as_deref(), Some("10.0.0.1"), "no header is believed");
        assert_eq!(whose(&["6.6.6.6, 203.0.113.9"], 1).as_deref(), Some("203.0.113.9"));
        assert_eq!(whose(&["6.6.6.6", "203.0.113.9, 192.0.2.1"], 2).as_deref(), Some("203.0.113.9"));
        assert_eq!(whose(&["[2001:db8::1]:443"], 1).as_deref(), Some("2001:db8::1"));
        assert_eq!(whose(&["[2001:db8::1]"], 1).as_deref(), Some("2001:db8::1"));
        assert_eq!(whose(&["203.0.113.9:5050"], 1).as_deref(), Some("203.0.113.9"));
        assert_eq!(whose(&["::ffff:203.0.113.9"], 1).as_deref(), Some("203.0.113.9"));
        assert_eq!(whose(&[], 2).as_deref(), Some("10.0.0.1"), "it came past the proxies");
    }

    #[test]
    fn whose_call_it_is_stays_unknown_where_a_proxy_was_left_out_or_says_nothing_clear() {
        assert_eq!(whose(&["203.0.113.9"], 2), None);
        for text in ["unknown", "", "203.0.113.9,", "203.0.113.9 6.6.6.6"] {
            assert_eq!(whose(&[text], 1), None, "{text}");
        }
        assert_eq!(client([10, 0, 0, 1].into(), std::iter::once(&b"\xff"[..]), 1), None);
    }

    proptest! {
        /// Whatever a client writes before, the address that the proxy saw counts.
        #[test]
        fn nothing_that_a_client_writes_moves_the_place(lies in prop::collection::vec("[ -~]{0,20}", 0..4)) {
            let mut values: Vec<&str> = lies.iter().map(String::as_str).collect();
            values.push("203.0.113.9");
            prop_assert_eq!(whose(&values, 1).unwrap(), "203.0.113.9");
            let line = format!("{}, 203.0.113.9", lies.join(","));
            prop_assert_eq!(whose(&[&line], 1).unwrap(), "203.0.113.9");
        }

        #[test]
        fn an_address_is_in_every_network_that_it_begins(address: u32, bits in 0_u8..=32) {
            let address = IpAddr::from(address.to_be_bytes());
            let network: Network = format!("{address}/{bits}").parse().unwrap();
            prop_assert!(network.holds(address));
        }
    }
}
