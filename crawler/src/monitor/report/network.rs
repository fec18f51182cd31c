//! The part of a report that says how a relay is set up: certificate, addresses, place, server.

use std::net::IpAddr;

use super::super::draft::tag;
use super::super::result::CheckResult;

/// Adds the tags and labels.
pub(super) fn add(
    result: &CheckResult,
    tags: &mut Vec<Vec<String>>,
    labels: &mut Vec<(&'static str, String)>,
) {
    let mut put = |name: &str, value: Option<String>| {
        tags.extend(value.map(|value| tag([name, &value])));
    };
    if let Some(tls) = &result.tls {
        let valid = if tls.verdict == "valid" {
            "valid"
        } else {
            "!valid"
        };
        put("ssl", Some(valid.to_owned()));
        if let Some(certificate) = &tls.certificate {
            put(
                "ssl-expires",
                certificate.not_after.map(|at| at.to_string()),
            );
            put("ssl-issuer", certificate.issuer_name.clone());
        }
    }
    let address = result.address();
    let ipv6 = result.records().and_then(|records| records.ipv6.first());
    match (address, ipv6) {
        (Some(IpAddr::V4(ip)), ipv6) => {
            put("net-ip", Some(ip.to_string()));
            put("net-ipv6", ipv6.map(ToString::to_string));
        }
        (Some(IpAddr::V6(ip)), _) => put("net-ipv6", Some(ip.to_string())),
        (None, _) => {}
    }
    if let Some(network) = &result.location.network {
        put("net-asn", network.number.map(|number| number.to_string()));
        put("net-asn-org", network.organization.clone());
        if let Some(number) = network.number {
            let organization = network.organization.as_deref().unwrap_or_default();
            let shown = format!("AS{number} {organization}");
            labels.push(("host.as", shown.trim_end().to_owned()));
        }
        let organization = network.organization.clone();
        labels.extend(organization.map(|organization| ("host.isp", organization)));
    }
    if let Some(records) = result.records() {
        for ip in &records.ipv4 {
            put("dns-ip", Some(ip.to_string()));
        }
        for ip in &records.ipv6 {
            put("dns-ip6", Some(ip.to_string()));
        }
        put("dns-cname", records.aliases.last().cloned());
    }
    if let Some(place) = &result.location.place {
        put("geo-country", place.country.clone());
        put("geo-city", place.city.clone());
        put("geo-lat", place.latitude.map(|degrees| degrees.to_string()));
        put(
            "geo-lon",
            place.longitude.map(|degrees| degrees.to_string()),
        );
        put("geo-tz", place.time_zone.clone());
        // From coarse to fine: who reads the last one only gets the finest.
        let geohash = place.geohash.as_deref().unwrap_or_default();
        for length in 1..=geohash.len() {
            put("g", geohash.get(..length).map(ToOwned::to_owned));
        }
        for space in ["ISO-3166-1", "countryCode"] {
            labels.extend(place.country.clone().map(|country| (space, country)));
        }
    }
    if let Some(headers) = &result.headers {
        put("http-server", headers.values.get("server").cloned());
        put(
            "http-powered-by",
            headers.values.get("x-powered-by").cloned(),
        );
    }
}
