//! Where a webhook may go. The name is looked up once, every address of it must be permitted, and
//! the connection is made to one of those that were looked at: a name that answers otherwise the
//! next time gains nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// What is said of an address that is not permitted.
pub const FORBIDDEN: &str = "where webhooks must not go";

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum NoAddress {
    /// The name is not known, or nobody could be asked.
    #[error("cannot look up {host}: {cause}")]
    Unknown {
        /// The name.
        host: String,
        /// The cause.
        cause: io::Error,
    },
    /// It is where webhooks must not go.
    #[error("{host} is {address}, {FORBIDDEN}")]
    Forbidden {
        /// The name.
        host: String,
        /// What it is.
        address: IpAddr,
    },
}

/// The addresses of a host, if all of them are permitted. Numbers in any writing that the system
/// understands (`2130706433`, `0x7f.1`) are looked up as well, so they are judged by what they are.
///
/// # Errors
/// When there is none, or one that is not permitted.
pub async fn resolve(
    host: &str,
    port: u16,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, NoAddress> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unknown = |cause| NoAddress::Unknown {
        host: host.to_owned(),
        cause,
    };
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port))
        .await
        .map_err(unknown)?
        .collect();
    permitted(host, &found, allow_private)?;
    if found.is_empty() {
        return Err(unknown(io::ErrorKind::NotFound.into()));
    }
    Ok(found)
}

/// Whether a host may be permitted, by its own words alone: a name may be anywhere, a number is
/// what it is.
#[must_use]
pub fn may_be(host: &str, allow_private: bool) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(address) = bare.parse::<IpAddr>() else {
        return true;
    };
    permitted(host, &[SocketAddr::new(address, 0)], allow_private).is_ok()
}

fn permitted(host: &str, found: &[SocketAddr], allow_private: bool) -> Result<(), NoAddress> {
    let is_permitted = |address: IpAddr| match reach(address) {
        Reach::Public => true,
        Reach::Near => allow_private,
        Reach::Nowhere => false,
    };
    match found.iter().find(|one| !is_permitted(one.ip())) {
        None => Ok(()),
        Some(one) => Err(NoAddress::Forbidden {
            host: host.to_owned(),
            address: one.ip(),
        }),
    }
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The open net.
    Public,
    /// This machine, this network, this provider.
    Near,
    /// No host.
    Nowhere,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// By the registry of special addresses (RFC 6890 and its successors).
const fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0 | 224..=255, ..] => Reach::Nowhere,
        [10 | 127, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [192, 0, 0, _]
        | [198, 18 | 19, ..] => Reach::Near,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Nowhere,
        _ => Reach::Public,
    }
}

/// Addresses that carry an IPv4 address lead where that one does.
fn reach_v6(address: Ipv6Addr) -> Reach {
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Nowhere,
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Near,
        // Mapped (::ffff:0:0/96), translated (64:ff9b::/96), compatible (::/96).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        // 6to4.
        | [0x2002, high, low, ..] => carried(high, low),
        // Translated by a network of its own, unique local, link-local, site-local.
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..] => Reach::Near,
        // Teredo and other protocols, documentation, multicast, and what is not given out.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Nowhere,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_leads_where_it_does() {
        let near = [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "169.254.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "198.19.255.255",
            "::1",
            "fc00::1",
            "fdff::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:c0a8:1::1",
            "::127.0.0.1",
        ];
        let nowhere = [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.9",
            "::",
            "::ffff:0.0.0.0",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "4000::1",
            "100::1",
            "64:ff9b::e000:1",
        ];
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "192.169.1.1",
            "169.253.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2400:3200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2001:4860:4860::8888",
        ];
        for (addresses, expected) in [
            (&near[..], Reach::Near),
            (&nowhere[..], Reach::Nowhere),
            (&public[..], Reach::Public),
        ] {
            for address in addresses {
                assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
            }
        }
    }

    #[test]
    fn one_address_that_is_not_permitted_is_enough() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            let ports = texts.iter().map(|text| (text.parse().unwrap(), 80));
            ports.map(|(ip, port)| SocketAddr::new(ip, port)).collect()
        };
        let is_permitted =
            |texts: &[&str], private| permitted("h", &addresses(texts), private).is_ok();
        assert!(is_permitted(&["1.1.1.1", "2606:4700::1111"], false));
        assert!(!is_permitted(&["1.1.1.1", "10.0.0.1"], false));
        assert!(is_permitted(&["1.1.1.1", "10.0.0.1"], true));
        assert!(!is_permitted(&["10.0.0.1", "224.0.0.1"], true));
    }

    #[tokio::test]
    async fn names_and_numbers_are_judged_by_what_they_are() {
        for host in [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "0177.0.0.1",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "10.1",
            "192.168.257",
            "0",
            "0.0.0.0",
            "[::]",
            "[64:ff9b::7f00:1]",
        ] {
            match resolve(host, 80, false).await {
                Err(NoAddress::Forbidden { .. }) => {}
                other => panic!("{host}: {other:?}"),
            }
        }
        let allowed = resolve("127.1", 81, true).await.unwrap();
        assert_eq!(allowed, ["127.0.0.1:81".parse().unwrap()]);
        let unknown = resolve("no-such-host.invalid", 80, true).await;
        assert!(matches!(unknown, Err(NoAddress::Unknown { .. })));
        let literal = resolve("1.1.1.1", 443, false).await.unwrap();
        assert_eq!(literal, ["1.1.1.1:443".parse().unwrap()]);
    }
}
