//! Whose request it is, by address: the connection's other end, or whom a trusted proxy there serves.
//!
//! Always holds: a header counts only as far as trusted proxies wrote it; where one says nothing that
//! can be read, the request is its own.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Once,
};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use crate::config::{Config, ForwardedHeader};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Said once: strangers decide how often they send it.
static UNTRUSTED: Once = Once::new();

/// Hops that are looked at: more proxies than anybody has in a row.
const HOPS_MAX: usize = 16;

/// Bits of an IPv6 address that are a household's or a server's; the rest it chooses as it likes.
const IPV6_PREFIX: u32 = 64;

/// Who may say whom they serve, and where.
#[derive(Debug)]
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
}

impl Proxies {
    pub(crate) fn new(config: &Config) -> Result<Self, (&'static str, String)> {
        Ok(Self {
            trusted: config.proxies()?,
            header: config.forwarded_header,
        })
    }

    /// Who sent a request that came from `peer`: the last who wasn't a trusted proxy.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => header::FORWARDED,
        };
        if headers.contains_key(&name) && !contains(&self.trusted, client) {
            UNTRUSTED.call_once(|| {
                tracing::warn!(peer = %client, header = %name, "a peer that is no trusted proxy says whom it serves; all that it sends counts as its own (`gateway.trusted_proxies`)");
            });
        }
        // The last was written by who stands nearest.
        let lines = headers.get_all(name).into_iter().rev();
        // Hop by hop: what a client wrote before may be no text.
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let hops = hops.map(|hop| std::str::from_utf8(hop).unwrap_or_default());
        for hop in hops.take(HOPS_MAX) {
            if !contains(&self.trusted, client) {
                break;
            }
            let said = match self.header {
                ForwardedHeader::XForwardedFor => address(hop),
                ForwardedHeader::Forwarded => forwarded_for(hop),
            };
            match said {
                Some(before) => client = before.to_canonical(),
                None => break,
            }
        }
        client
    }
}

/// Whether one of them has it.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// What is counted as one: an IPv4 address, or all of an IPv6 /64.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - IPV6_PREFIX);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// An address, with a port or without, IPv6 in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("for");
        named.then(|| address(value.trim().trim_matches('"')))?
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies(header: ForwardedHeader) -> Proxies {
        let config = Config {
            trusted_proxies: vec!["10.0.0.0/8".to_owned(), "2001:db8:1::1".to_owned()],
            forwarded_header: header,
            ..Config::default()
        };
        Proxies::new(&config).expect("the settings are good")
    }

    fn client(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let lines = lines.iter().map(|(name, line)| {
            let value = HeaderValue::from_bytes(line.as_bytes()).expect("is a header");
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        lines.for_each(|(name, value)| {
            headers.append(name, value);
        });
        let peer = peer.parse().expect("an address");
        proxies(header).client(peer, &headers).to_string()
    }

    #[test]
    fn a_header_counts_only_as_far_as_trusted_proxies_wrote_it() {
        let of = |peer, lines: &[&str]| {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| ("x-forwarded-for", *line))
                .collect();
            client(ForwardedHeader::XForwardedFor, peer, &lines)
        };
        // Whoever isn't a proxy of ours says nothing about others.
        assert_eq!(of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        // What the client wrote itself stands before what the proxy added.
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9, 198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(
            of("10.0.0.1", &["203.0.113.9", "198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(of("10.0.0.1", &["198.51.100.7, 10.1.2.3"]), "198.51.100.7");
        assert_eq!(of("2001:db8:1::1", &["2001:db8:2::7"]), "2001:db8:2::7");
        assert_eq!(of("10.0.0.1", &["[2001:db8:2::7]:443"]), "2001:db8:2::7");
        assert_eq!(of("10.0.0.1", &["198.51.100.7:1234"]), "198.51.100.7");
        // What is no text before it doesn't hide what the proxy added.
        assert_eq!(of("10.0.0.1", &["é, 198.51.100.7"]), "198.51.100.7");
        // Nothing that can be read: it is the proxy's own.
        for nothing in ["", "unknown", "1.2.3", "é", "198.51.100.7,"] {
            assert_eq!(of("10.0.0.1", &[nothing]), "10.0.0.1", "{nothing}");
        }
        // All of them trusted: the first.
        assert_eq!(of("10.0.0.1", &["10.0.0.9, 10.0.0.2"]), "10.0.0.9");
        let long = vec!["10.0.0.2"; 1000].join(",");
        assert_eq!(of("10.0.0.1", &[&long]), "10.0.0.2");
    }

    #[test]
    fn forwarded_is_read_where_it_is_the_one_that_is_configured_and_nowhere_else() {
        let of = |line| {
            let lines = [("forwarded", line), ("x-forwarded-for", "203.0.113.9")];
            client(ForwardedHeader::Forwarded, "10.0.0.1", &lines)
        };
        assert_eq!(of("for=198.51.100.7"), "198.51.100.7");
        assert_eq!(
            of("proto=https; For=\"[2001:db8:2::7]:4711\";by=10.0.0.1"),
            "2001:db8:2::7"
        );
        assert_eq!(
            of("for=203.0.113.9, for=198.51.100.7;proto=http"),
            "198.51.100.7"
        );
        assert_eq!(of("for=unknown"), "10.0.0.1");
        assert_eq!(of("for=_hidden, for=10.0.0.2"), "10.0.0.2");
        assert_eq!(
            client(
                ForwardedHeader::XForwardedFor,
                "10.0.0.1",
                &[("forwarded", "for=203.0.113.9")]
            ),
            "10.0.0.1"
        );
    }

    #[test]
    fn a_64_of_ipv6_is_one_and_an_ipv4_address_is_one_however_it_is_written() {
        let of = |text: &str| household(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::"), "2001:db8:1:2::");
        assert_ne!(of("2001:db8:1:3::"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
