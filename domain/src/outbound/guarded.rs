//! The guarded client: for every address that does not come from our own
//! configuration (client callbacks, JWK sets, client metadata, logos).
//!
//! A name is resolved once, by us, and only public addresses are connected to:
//! nobody can point us at the inside of our own network, not by a literal, not
//! by a name that resolves there, not by one that changes between a check and
//! the connection, and not by a redirect (which is never followed). Loopback
//! is let through only where the deployment says so (demo and tests).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Answer, Ask, Error, Open, Opened, Outbound, exchange, stream};

/// The longest a guarded call may take, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 256 * 1024;

/// Whether an address is one of the public internet.
///
/// The special-purpose registries of IANA (RFC 6890) say which are not;
/// addresses of IPv4 inside IPv6 count as what they hold.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Shared address space of carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments (RFC 6890), 6to4 relays (RFC 7526).
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // Benchmarks (RFC 2544).
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let parts = address.segments();
    // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address.
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(v4(parts[6], parts[7]));
    }
    if parts[0] == 0x2002 {
        return is_public_v4(v4(parts[1], parts[2]));
    }
    // Global unicast only, without documentation, Teredo, ORCHID and benchmarks.
    (parts[0] & 0xe000) == 0x2000
        && !(parts[0] == 0x2001 && parts[1] < 0x0200)
        && !(parts[0] == 0x2001 && parts[1] == 0x0db8)
        && !(parts[0] == 0x3fff && parts[1] < 0x1000)
}

/// The guarded client.
pub struct GuardedOutbound {
    client: reqwest::Client,
    allow_loopback: bool,
}

/// Who says which addresses a name has.
#[async_trait]
pub trait Names: Send + Sync + 'static {
    /// The addresses of a name, now.
    async fn look_up(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The names as this machine knows them.
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn look_up(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

struct PublicOnly {
    names: Arc<dyn Names>,
    allow_loopback: bool,
}

fn allowed(address: IpAddr, allow_loopback: bool) -> bool {
    is_public(address) || (allow_loopback && address.is_loopback())
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, allow_loopback) = (self.names.clone(), self.allow_loopback);
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?;
            let good: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allowed(*address, allow_loopback))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if good.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

impl GuardedOutbound {
    /// A guarded client; `allow_loopback` only in demo and tests.
    ///
    /// # Errors
    /// When the TLS set-up of this machine cannot be read.
    pub fn new(allow_loopback: bool) -> Result<Self, String> {
        Self::with_names(allow_loopback, Arc::new(SystemNames))
    }

    /// As [`Self::new`], with names from somewhere else: tests have them change.
    ///
    /// # Errors
    /// When the TLS set-up of this machine cannot be read.
    #[allow(
        clippy::disallowed_methods,
        reason = "the other place that makes an outward client"
    )]
    pub fn with_names(allow_loopback: bool, names: Arc<dyn Names>) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .no_proxy()
            .retry(reqwest::retry::never())
            // A kept connection would outlive what its name means.
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(PublicOnly {
                names,
                allow_loopback,
            }))
            .user_agent(concat!("Attorn/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            allow_loopback,
        })
    }

    /// Whether this address may be called at all. Names are judged when they
    /// are resolved; this judges the scheme and literals, for which nothing is.
    fn check(&self, url: &Url) -> Result<(), Error> {
        let refused = |why: &str| Err(Error::NotSent(why.to_owned()));
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the address has a user in it");
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return refused("the address has no host"),
        };
        if literal.is_some_and(|address| !allowed(address, self.allow_loopback)) {
            return refused("the address is not a public one");
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_loopback && is_loopback(url) => Ok(()),
            _ => refused("the address is not https"),
        }
    }
}

/// Whether the host is this very machine, by name or literal.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[async_trait]
impl Outbound for GuardedOutbound {
    async fn send(&self, mut ask: Ask) -> Result<Answer, Error> {
        self.check(&ask.url)?;
        ask.timeout = ask.timeout.min(LONGEST);
        ask.limit = ask.limit.min(LARGEST);
        exchange(&self.client, ask).await
    }

    async fn open(&self, open: Open) -> Result<Opened, Error> {
        self.check(&open.url)?;
        stream::open(&self.client, open).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2a00::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_private_address_a_name_that_leads_there_and_plain_http_are_never_called() {
        let guarded = GuardedOutbound::new(false).unwrap();
        for address in [
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://localhost/",
            "http://example.com/",
            "ftp://example.com/",
            "https://user:word@example.com/",
        ] {
            let ask = Ask {
                method: http::Method::GET,
                url: address.parse().unwrap(),
                headers: http::HeaderMap::new(),
                body: bytes::Bytes::new(),
                timeout: Duration::from_secs(2),
                limit: 10,
            };
            let outcome = guarded.send(ask).await;
            assert!(matches!(outcome, Err(Error::NotSent(_))), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_a_call_and_only_public_answers_count() {
        use crate::testing::ScriptedNames;
        let inside: IpAddr = "10.0.0.1".parse().unwrap();
        let outside: IpAddr = "93.184.216.34".parse().unwrap();
        let names = ScriptedNames::default();
        let resolver = PublicOnly {
            names: Arc::new(names.clone()),
            allow_loopback: false,
        };
        names.lead(
            "rebind.example",
            [vec![outside], vec![inside, outside], vec![inside]],
        );
        let mut found = Vec::new();
        for _ in 0..3 {
            let name = "rebind.example".parse().unwrap();
            let addresses = resolver.resolve(name).await.ok();
            found.push(addresses.map(|all| all.map(|one| one.ip()).collect::<Vec<_>>()));
        }
        assert_eq!(found, [Some(vec![outside]), Some(vec![outside]), None]);

        // No look-up before the one whose answer is connected to.
        let guarded = GuardedOutbound::with_names(false, Arc::new(names.clone())).unwrap();
        let ask = Ask {
            method: http::Method::GET,
            url: "https://rebind.example/".parse().unwrap(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            timeout: Duration::from_secs(2),
            limit: 10,
        };
        assert!(matches!(guarded.send(ask).await, Err(Error::NotSent(_))));
        assert_eq!(names.looked_up("rebind.example"), 4);
    }

    const ADDRESS: [&str; 28] = [
        "https://",
        "http://",
        "ftp://",
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0x7f.1",
        "017700000001",
        "2130706433",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "localhost",
        "example.com",
        "@",
        ":",
        "443",
        "/",
        "\\",
        "#",
        "?",
        "%31",
        ".",
        "\t",
        "１",
        "。",
        "user",
    ];

    fn judge(guarded: &GuardedOutbound, text: &str) {
        let Ok(url) = Url::parse(text) else {
            return;
        };
        if guarded.check(&url).is_err() {
            return;
        }
        evidence::fuzz::taken("outward");
        assert_eq!(url.scheme(), "https", "{text}");
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{text}"
        );
        // Another reader: what the standard library takes for an address is one.
        let host = url.host_str().unwrap().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>() {
            assert!(is_public(address), "{text}");
        }
        // The same once more, written as the parser writes it.
        let again = Url::parse(url.as_str()).unwrap();
        assert!(again == url && guarded.check(&again).is_ok());
    }

    fn address(bytes: [u8; 4]) {
        let v4 = Ipv4Addr::from(bytes);
        if !is_public(v4.into()) {
            let [a, b, c, d] = bytes.map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for carrier in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                v4.to_ipv6_compatible(),
            ] {
                assert!(!is_public(carrier.into()), "{v4} inside {carrier}");
            }
        }
        let inside = v4.is_private() || v4.is_loopback() || v4.is_link_local();
        assert!(!(inside && is_public(v4.into())), "{v4}");
    }

    #[test]
    fn addresses_of_others() {
        // Not caught by the closure, which may hold nothing that a panic could spoil.
        static GUARDED: LazyLock<GuardedOutbound> =
            LazyLock::new(|| GuardedOutbound::new(false).unwrap());
        bolero::check!(name = "outward")
            .with_iterations(evidence::fuzz::INPUTS)
            .for_each(|input: &[u8]| {
                judge(&GUARDED, &String::from_utf8_lossy(input));
                let spelled = evidence::fuzz::spell(input, &ADDRESS);
                judge(&GUARDED, &spelled);
                judge(&GUARDED, &format!("https://{spelled}"));
                for four in input.windows(4).take(8) {
                    address([four[0], four[1], four[2], four[3]]);
                }
            });
        evidence::fuzz::has_taken("outward", 2);
    }
}
