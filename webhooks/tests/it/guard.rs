//! What webhooks may not reach, in every notation, and exactly what the allow-list opens.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use liftgate_webhooks::guard::{AllowList, GuardError, GuardResolver, Lookup, check_addr, check_url};
use reqwest::dns::Resolve as _;
use serde_json::json;

use crate::receiver::Receiver;
use crate::world::{World, config, endpoint};

fn allow(entries: &[&str]) -> AllowList {
    AllowList::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn addresses_that_are_not_public_are_refused_in_every_notation() {
    let check = |host: &str, why: &str| {
        let refused = check_url(&format!("https://{host}/hook"), &AllowList::default());
        let message = refused.expect_err(host).to_string();
        assert!(message.contains(why), "{host}: {message}");
    };
    check("0.0.0.0", "this network");
    check("10.0.0.1", "private");
    check("172.16.0.1", "private");
    check("172.31.255.255", "private");
    check("192.168.1.1:8443", "private");
    check("127.0.0.1", "loopback");
    check("127.255.255.254", "loopback");
    check("2130706433", "loopback");
    check("0177.0.0.1", "loopback");
    check("0x7f.1", "loopback");
    check("127.1", "loopback");
    check("127。0。0。1", "loopback");
    check("localhost", "loopback");
    check("LOCALHOST.", "loopback");
    check("api.localhost", "loopback");
    check("169.254.169.254", "link-local");
    check("168.63.129.16", "metadata");
    check("100.64.0.1", "carrier-grade NAT");
    check("100.127.255.255", "carrier-grade NAT");
    check("192.0.2.1", "documentation");
    check("198.51.100.1", "documentation");
    check("203.0.113.1", "documentation");
    check("198.18.0.1", "benchmarking");
    check("192.88.99.1", "6to4");
    check("192.0.0.8", "protocol");
    check("224.0.0.1", "multicast");
    check("239.255.255.255", "multicast");
    check("240.0.0.1", "reserved");
    check("255.255.255.255", "broadcast");
    check("[::]", "unspecified");
    check("[::1]", "loopback");
    check("[::ffff:127.0.0.1]", "IPv4-mapped");
    check("[::ffff:8.8.8.8]", "IPv4-mapped");
    check("[::7f00:1]", "IPv4-compatible");
    check("[64:ff9b::a00:1]", "NAT64");
    check("[64:ff9b:1::1]", "NAT64");
    check("[2002:7f00:1::]", "6to4");
    check("[2001::1]", "protocol");
    check("[2001:db8::1]", "documentation");
    check("[3fff::1]", "documentation");
    check("[fc00::1]", "unique local");
    check("[fdff::1]", "unique local");
    check("[fe80::1]", "link-local");
    check("[ff02::1]", "multicast");
    check("[fec0::1]", "reserved");
    check("[100::1]", "reserved");
    check("[5f00::1]", "reserved");
    check("[fe80::1%25eth0]", "not a valid URL");
    check("[fe80::1%eth0]", "not a valid URL");
    check("user@example.com", "user name");
    check("user:pass@example.com", "user name");
    check(":pass@example.com", "user name");
}

#[test]
fn public_https_passes_and_other_schemes_do_not() {
    let nothing = AllowList::default();
    for url in
        ["https://example.com/a?b#c", "https://8.8.8.8:8443/", "https://[2606:4700::1111]/", "https://172.32.0.1/"]
    {
        assert!(check_url(url, &nothing).is_ok(), "{url}");
    }
    for url in
        ["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "unix:/run/x", "gopher://example.com/"]
    {
        assert!(matches!(check_url(url, &nothing), Err(GuardError::Scheme(_))), "{url}");
    }
    for url in ["", "no url", "https://", "//example.com/", "https://exa mple.com/"] {
        assert!(matches!(check_url(url, &nothing), Err(GuardError::Url(_))), "{url}");
    }
    let long = format!("https://example.com/{}", "a".repeat(3_000));
    assert!(matches!(check_url(&long, &nothing), Err(GuardError::Url(_))));
}

#[test]
fn the_allow_list_opens_exactly_what_it_names() {
    let check = |entries: &[&str], url: &str, expected: bool| {
        assert_eq!(check_url(url, &allow(entries)).is_ok(), expected, "{entries:?} {url}");
    };
    check(&["10.1.2.3"], "https://10.1.2.3/", true);
    check(&["10.1.2.3"], "http://10.1.2.3:9000/", true);
    check(&["10.1.2.3"], "https://10.1.2.4/", false);
    check(&["10.1.0.0/16"], "https://10.1.255.255/", true);
    check(&["10.1.0.0/16"], "https://10.2.0.1/", false);
    check(&["10.0.0.0/8"], "https://[::ffff:10.0.0.1]/", false);
    check(&["127.0.0.1:9000"], "http://127.0.0.1:9000/", true);
    check(&["127.0.0.1:9000"], "http://127.0.0.1:9001/", false);
    check(&["[::1]:9000"], "http://[::1]:9000/", true);
    check(&["[::1]:9000"], "http://[::1]/", false);
    check(&["[::1]"], "http://[::1]:9000/", true);
    check(&["fd00::/8"], "https://[fd12::1]/", true);
    check(&["hooks.internal"], "http://hooks.internal:1234/", true);
    check(&["HOOKS.internal."], "http://hooks.Internal/", true);
    check(&["hooks.internal"], "http://a.hooks.internal/", false);
    check(&["hooks.internal:443"], "https://hooks.internal/", true);
    check(&["hooks.internal:443"], "http://hooks.internal/", false);
    check(&["localhost"], "http://localhost:3000/", true);
    check(&["10.1.2.3"], "ftp://10.1.2.3/", false);
    check(&["10.1.2.3"], "https://user@10.1.2.3/", false);
}

#[test]
fn entries_that_are_no_entries_are_named() {
    for entry in
        ["", "http://hooks.internal", "*.internal", "10.0.0.1/8", "10.0.0.0/40", "host:", "host:99999", "a b", "host/"]
    {
        let refused = AllowList::parse(&["hooks.internal".to_owned(), entry.to_owned()]);
        assert_eq!(refused, Err(GuardError::Entry(entry.to_owned())));
    }
}

#[test]
fn a_resolved_address_is_held_to_the_same_rules() {
    let check = |address: &str, host: &str, entries: &[&str], expected: bool| {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(check_addr(address, host, 8443, &allow(entries)).is_ok(), expected, "{address} {host} {entries:?}");
    };
    check("93.184.215.14", "example.com", &[], true);
    check("10.0.0.1", "example.com", &[], false);
    check("10.0.0.1", "example.com", &["10.0.0.0/8"], true);
    check("10.0.0.1", "hooks.internal", &["hooks.internal"], true);
    check("10.0.0.1", "hooks.internal", &["hooks.internal:8443"], true);
    check("10.0.0.1", "hooks.internal", &["hooks.internal:443"], false);
    check("10.0.0.1", "example.com", &["hooks.internal"], false);
}

/// A name server that changes its mind.
struct Rebinding {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Lookup for Rebinding {
    fn lookup(&self, _host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst) % self.answers.len();
        let addresses = self.answers[turn].iter().map(|text| text.parse().unwrap()).collect();
        async { Ok(addresses) }.boxed()
    }
}

#[tokio::test]
async fn a_name_that_rebinds_is_checked_each_time_it_is_resolved() {
    let answers = vec![
        vec!["93.184.215.14"],
        vec!["127.0.0.1"],
        vec!["10.0.0.1", "93.184.215.14", "::1"],
        vec![],
        vec!["10.9.0.1"],
    ];
    let names = Arc::new(Rebinding { answers, asked: AtomicUsize::new(0) });
    let resolver = GuardResolver::guarded(names, allow(&["10.9.0.0/16"]));
    let mut resolved = Vec::new();
    for _ in 0..5 {
        let addresses = resolver.resolve("rebind.example".parse().unwrap()).await;
        resolved.push(match addresses {
            Ok(addresses) => addresses.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(","),
            Err(error) => error.to_string(),
        });
    }
    assert_eq!(resolved[0], "93.184.215.14");
    assert!(resolved[1].contains("`127.0.0.1` is refused (loopback)"), "{}", resolved[1]);
    assert_eq!(resolved[2], "93.184.215.14", "only what is public is handed on");
    assert!(resolved[3].contains("`rebind.example` has no address"), "{}", resolved[3]);
    assert_eq!(resolved[4], "10.9.0.1");
}

#[tokio::test]
async fn the_client_connects_only_to_what_the_resolver_let_through() {
    let receiver = Receiver::start([]).await;
    let _tls = World::new().await;
    let names = || Arc::new(Rebinding { answers: vec![vec!["127.0.0.1"]], asked: AtomicUsize::new(0) });
    let get = async |resolver: GuardResolver| {
        let client = reqwest::Client::builder().no_proxy().dns_resolver(resolver).build().unwrap();
        let port = receiver.authority.rsplit_once(':').unwrap().1;
        client.get(format!("http://rebind.example:{port}/")).send().await
    };
    assert!(get(GuardResolver::guarded(names(), AllowList::default())).await.unwrap_err().is_connect());
    assert!(receiver.heard().is_empty());
    assert!(get(GuardResolver::named(names())).await.is_ok());
    assert_eq!(receiver.heard().len(), 1);
}

#[tokio::test]
async fn an_endpoint_whose_name_resolves_inside_is_reached_only_when_it_is_named() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    let port = receiver.authority.rsplit_once(':').unwrap().1.to_owned();
    let inside = || Arc::new(Rebinding { answers: vec![vec!["127.0.0.1"]], asked: AtomicUsize::new(0) });
    for scheme in ["https", "http"] {
        world.endpoint(scheme, endpoint(&format!("{scheme}://inside.example:{port}/{scheme}"))).await;
    }
    world.tell("flag.created", "checkout", json!({})).await;
    let others_named = config(&["other.example", "inside.example:1", "10.0.0.0/8"]);
    assert_eq!(world.tick(&world.dispatcher_with(others_named, inside())).await.retried, 2);
    let answers: Vec<String> = world.deliveries().await.into_iter().filter_map(|it| it.last_response).collect();
    assert!(answers.iter().any(|answer| answer.contains("`127.0.0.1` is refused (loopback)")), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.contains("scheme `http` is refused")), "{answers:?}");

    world.clock.advance_ms(10_000);
    let named = config(&[&format!("inside.example:{port}")]);
    let report = world.tick(&world.dispatcher_with(named, inside())).await;
    assert_eq!((report.delivered, report.retried), (1, 1), "the receiver speaks no TLS, so only http arrives");
    assert_eq!(receiver.heard().iter().map(|heard| heard.path.as_str()).collect::<Vec<_>>(), ["/http"]);
}

#[tokio::test]
async fn an_endpoint_on_loopback_is_reached_only_when_its_host_and_port_are_named() {
    let (world, receiver) = (World::new().await, Receiver::start([]).await);
    let port = receiver.authority.rsplit_once(':').unwrap().1.to_owned();
    for (key, host) in [("literal", "127.0.0.1"), ("decimal", "2130706433"), ("name", "localhost")] {
        world.endpoint(key, endpoint(&format!("http://{host}:{port}/{key}"))).await;
    }
    world.tell("flag.created", "checkout", json!({})).await;
    assert_eq!(world.tick(&world.dispatcher(config(&["127.0.0.1:1", "localhost:1"]))).await.retried, 3);
    assert!(receiver.heard().is_empty());
    assert!(world.deliveries().await.iter().all(|it| it.last_response.as_ref().unwrap().contains("refused")));

    world.clock.advance_ms(10_000);
    let named = config(&[&format!("localhost:{port}")]);
    let report = world.tick(&world.dispatcher(named)).await;
    assert_eq!((report.delivered, report.retried), (1, 2));
    assert_eq!(receiver.heard()[0].path, "/name");
}
