//! The access token: who gets what with and without it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    assert!(!log.contains(" error "), "{log}");
    // The limit is one a minute, and the loop takes less.
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(" warning ")).collect();
    assert!(warnings.len() <= 2 && warnings[0].contains("wrong access token"), "{log}");
    assert!(warnings[0].contains("client=127.0.0.1:") && warnings[0].ends_with("requests=1"), "{log}");
}

#[test]
fn requests_without_a_token_are_not_warned_of() {
    let sandbox = Sandbox::new();
    let mut daemon = guarded(&sandbox);
    for path in ["/metrics", "/health", "/nothing"] {
        get(&daemon, path, None);
        get(&daemon, path, Some(BASIC));
    }
    daemon.stop();
    assert!(!daemon.log().contains(" warning "), "{}", daemon.log());
}

#[test]
fn token_that_every_user_can_read_draws_a_warning() {
    let open = Permissions::from_mode(0o755);
    for (name, content, flags) in [
        ("config.toml", "[server]\nauth_token = \"horse\"\n", &["--config", "config.toml"][..]),
        ("token", "horse\n", &["--config", "file.toml"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("file.toml", "[server]\nauth_token_file = \"token\"\n");
        let secret = sandbox.write(name, content);
        let warned = |mode, credentials: &Path| {
            std::fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("ours");
            let mut command = sandbox.vpo(["config", "--check"]);
            let output = command.args(flags).env("CREDENTIALS_DIRECTORY", credentials).output();
            let output = output.expect("vpo runs");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stderr).expect("UTF-8").contains("every user of this machine can read")
        };
        let elsewhere = sandbox.path("none");
        assert!(!warned(0o644, &elsewhere), "no other user may enter the directory");
        std::fs::set_permissions(sandbox.path(""), open.clone()).expect("ours");
        assert!(warned(0o644, &elsewhere) && warned(0o604, &elsewhere), "{name}");
        assert!(!warned(0o640, &elsewhere) && !warned(0o600, &elsewhere), "{name}");
        assert!(!warned(0o644, &sandbox.path("")), "mounted by a service manager");
    }
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
