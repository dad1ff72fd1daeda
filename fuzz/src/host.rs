//! The Host rule: no name that somebody else can register is answered in full unless it is listed.

use vpo::daemon::http::hosts::{Hosts, RequestHost, name_to_add};

/// Last labels of names that cannot be registered.
const LAST: [&str; 6] = ["localhost", "local", "internal", "lan", "test", "podman"];

/// Parses the value of a header and applies the rule to it.
pub fn check(header: &str) {
    let Ok(host) = header.parse::<RequestHost>() else { return };
    let RequestHost::Name(name) = &host else { return };
    assert!(name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase() || b":/@[]?#\r\n ".contains(&byte)));
    let is_reserved = !name.contains('.')
        || name.ends_with(".home.arpa")
        || name == "home.arpa"
        || name.rsplit('.').next().is_some_and(|last| LAST.contains(&last));
    // The name of this machine, which may have dots, is out of the fuzzer's reach.
    assert!(is_reserved || !Hosts::default().allow(&host), "{name:?} is allowed");
    if let Some(added) = name_to_add(&host) {
        let listed: Hosts = [added.to_owned()].into_iter().collect();
        assert!(listed.allow(&host), "{name:?} is listed");
        let other = RequestHost::Name(format!("{name}.example.org"));
        assert!(!listed.allow(&other), "{name:?} allows another name");
    }
}
