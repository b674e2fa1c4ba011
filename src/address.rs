//! Addresses that are sent to only on purpose: link-local ones, and those at which clouds serve metadata.
//!
//! An address in a configuration, or a name that resolves to such a one, would have tollbell talk to what hands out
//! credentials of the machine it runs on. Both are refused, unless `server.allowed_targets` names the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use ipnet::IpNet;

/// What is refused: link-local (RFC 3927, RFC 4291), and metadata of AWS, Google, Azure, Alibaba and Oracle.
const REFUSED: [&str; 8] = [
    "169.254.0.0/16",
    "fe80::/10",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "fd00:c1::a9fe:a9fe/128",
];
/// IPv6 prefixes behind which an IPv4 address stands: mapped, and the well-known one of NAT64 (RFC 6052).
const EMBEDDING: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)];
/// What is said of such an address.
pub const REASON: &str =
    "a link-local or metadata address; server.allowed_targets names those that are meant";

static NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| REFUSED.iter().filter_map(|network| network.parse().ok()).collect());
/// What the configuration in force allows; one process has one.
static ALLOWED: LazyLock<ArcSwap<Vec<IpNet>>> = LazyLock::new(ArcSwap::default);

/// Sets what is allowed from now on.
pub fn allow(networks: Vec<IpNet>) {
    ALLOWED.store(Arc::new(networks));
}

/// Whether anything may be sent to an address, by what is in force.
pub fn is_permitted(ip: IpAddr) -> bool {
    is_permitted_by(ip, &ALLOWED.load())
}

/// Whether anything may be sent to an address, where these networks are allowed.
pub fn is_permitted_by(ip: IpAddr, allowed: &[IpNet]) -> bool {
    let ip = plain(ip);
    !NETWORKS.iter().any(|network| network.contains(&ip))
        || allowed.iter().any(|network| network.contains(&ip))
}

/// The address in the host of a URL or of a mail server, where that is no name.
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether the host of a URL is no address that is refused; a name is looked at when it resolves.
pub(crate) fn is_host_permitted(host: &str) -> bool {
    literal(host).is_none_or(is_permitted)
}

/// The IPv4 address in an IPv6 one.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let octets = v6.octets();
    let embeds = |prefix: &Ipv6Addr| prefix.octets().get(..12) == octets.get(..12);
    match octets.last_chunk::<4>() {
        Some(last) if EMBEDDING.iter().any(embeds) => IpAddr::V4(Ipv4Addr::from(*last)),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_form() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "100.100.100.200",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            let ip = text.parse().expect(text);
            assert!(!is_permitted_by(ip, &[]), "{text}");
            assert!(is_permitted_by(ip, &["0.0.0.0/0", "::/0"].map(|net| net.parse().expect(net))));
        }
        for text in
            ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "fec0::1", "169.253.0.1"]
        {
            assert!(is_permitted_by(text.parse().expect(text), &[]), "{text}");
        }
        assert_eq!(REFUSED.len(), NETWORKS.len());
        for text in ["http://0xa9fea9fe/", "http://2852039166/", "http://[::ffff:a9fe:a9fe]/"] {
            let url: reqwest::Url = text.parse().expect(text);
            assert!(!is_host_permitted(url.host_str().expect("host")), "{text}");
        }
        assert!(is_host_permitted("metadata.example"));
    }
}
