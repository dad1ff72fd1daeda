//! The access token: who gets what with and without it.

use crate::harness::{Answer, Client, Daemon, Sandbox};

const TOKEN: &str = "correct horse";
/// `base64("anyone:correct horse")`, and with a wrong password.
const BASIC: &str = "Basic YW55b25lOmNvcnJlY3QgaG9yc2U=";
const WRONG_BASIC: &str = "Basic YW55b25lOmJhdHRlcnk=";

fn guarded(sandbox: &Sandbox) -> Daemon {
    let config = sandbox.write("config.toml", format!("[server]\nauth_token = \"{TOKEN}\"\n"));
    let daemon = sandbox.serve(["--config", config.to_str().expect("UTF-8"), "--log-level", "debug"]);
    assert!(!daemon.log().contains(TOKEN));
    daemon
}

fn get(daemon: &Daemon, path: &str, authorization: Option<&str>) -> Answer {
    ask(daemon, "GET", path, authorization)
}

fn ask(daemon: &Daemon, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut client = Client::connect(daemon.address());
    let header = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: vpo\r\n{header}\r\n").as_bytes()).expect("sent");
    client.receive(false).expect("an answer")
}

#[test]
fn the_token_opens_what_it_guards() {
    let sandbox = Sandbox::new();
    let daemon = guarded(&sandbox);
    let bearer = format!("Bearer {TOKEN}");
    for right in [BASIC, "basic YW55b25lOmNvcnJlY3QgaG9yc2U=", "Basic OmNvcnJlY3QgaG9yc2U=", &bearer] {
        assert_eq!(get(&daemon, "/metrics", Some(right)).status, 200, "{right}");
        assert_eq!(get(&daemon, "/nothing", Some(right)).status, 404, "{right}");
    }
}

#[test]
fn without_it_there_is_only_health() {
    let sandbox = Sandbox::new();
    let mut daemon = guarded(&sandbox);
    for wrong in [
        None,
        Some(WRONG_BASIC),
        Some("Bearer correct"),
        Some("Bearer correct horses"),
        Some("Bearer"),
        Some("Bearer "),
        Some("Basic !!!"),
        Some("Basic"),
        // A password of another kind: no colon at all.
        Some("Basic Y29ycmVjdCBob3JzZQ=="),
        Some("Digest correct horse"),
        Some(TOKEN),
        Some(""),
        // No ASCII.
        Some("Bearer caf\u{e9}"),
    ] {
        for path in ["/metrics", "/nothing", "/", "/api/v1/files", "/health/"] {
            let answer = get(&daemon, path, wrong);
            assert_eq!(answer.status, 401, "{path} with {wrong:?}");
            assert!(answer.json()["error"].is_string());
            let challenges: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| name == "www-authenticate")
                .map(|(_, value)| value.as_str())
                .collect();
            assert_eq!(challenges, ["Basic realm=\"vpo\", charset=\"UTF-8\"", "Bearer realm=\"vpo\""]);
        }
        for path in ["/health", "/readyz", "/livez"] {
            assert_eq!(get(&daemon, path, wrong).status, 200, "{path} with {wrong:?}");
        }
        assert_eq!(ask(&daemon, "POST", "/health", wrong).status, 405);
        assert_eq!(ask(&daemon, "POST", "/metrics", wrong).status, 401);
    }
    daemon.stop();
    let log = daemon.log();
    assert!(!log.contains(TOKEN) && !log.contains("YW55b25l"), "{log}");
    assert!(!log.contains(" error ") && !log.contains(" warning "), "{log}");
}

#[test]
fn health_keeps_details_from_strangers() {
    let sandbox = Sandbox::new();
    let daemon = guarded(&sandbox);
    let stranger = get(&daemon, "/health", None).json();
    assert_eq!(stranger["status"], "healthy");
    let check = stranger["checks"][0].as_object().expect("a check");
    assert!(check.contains_key("reason") && !check.contains_key("detail"), "{check:?}");
    let known = get(&daemon, "/health", Some(BASIC)).json();
    assert!(known["checks"][0].as_object().expect("a check").contains_key("detail"));
}

#[test]
fn without_a_token_nobody_is_a_stranger() {
    let sandbox = Sandbox::new();
    let daemon = sandbox.serve([""; 0]);
    for authorization in [None, Some(WRONG_BASIC), Some("Bearer nonsense"), Some("\u{e9}")] {
        assert_eq!(get(&daemon, "/metrics", authorization).status, 200);
        let health = get(&daemon, "/health", authorization).json();
        assert!(health["checks"][0].as_object().expect("a check").contains_key("detail"));
    }
}
