//! Where a request came from, by the gateway's word.

use std::net::{IpAddr, Ipv6Addr};

use holdfast_mesh::auth::CLIENT_ADDRESS;
use tonic::metadata::MetadataMap;

/// Bits of an IPv6 address that are a household's or a server's; the rest it chooses as it likes.
const IPV6_PREFIX: u32 = 64;

/// The address, where the caller names one. Only the gateway may call what reads it.
pub(crate) fn address(metadata: &MetadataMap) -> Option<IpAddr> {
    let text = metadata.get(CLIENT_ADDRESS)?.to_str().ok()?;
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// What is counted as one: an IPv4 address, all of an IPv6 /64, or all whose address isn't known.
pub(crate) fn counted(client: Option<IpAddr>) -> String {
    match client {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let mask = u128::MAX << (u128::BITS - IPV6_PREFIX);
            Ipv6Addr::from_bits(address.to_bits() & mask).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_64_of_ipv6_is_one_client() {
        let of = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(CLIENT_ADDRESS, text.parse().expect("is metadata"));
            counted(address(&metadata))
        };
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:3::"), of("2001:db8:1:2::"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1, 192.0.2.2"), "unknown");
        assert_eq!(counted(None), "unknown");
    }
}
