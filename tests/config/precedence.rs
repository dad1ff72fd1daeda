//! `defaults < file < environment < flags`, for every key and every combination of sources.

use super::Sandbox;
use vpo::config::keys::KEYS;

/// How one source gives a value, and how `vpo config` shows it.
struct Given {
    said: &'static str,
    shown: &'static str,
}

struct Case {
    key: &'static str,
    default: Option<&'static str>,
    file: Given,
    variable: Given,
    flag: Option<Given>,
}

/// A value that every source gives as it is shown.
const fn number(text: &'static str) -> Given {
    Given { said: text, shown: text }
}

const fn text(said: &'static str, shown: &'static str) -> Given {
    Given { said, shown }
}

/// `~` in what is shown stands for the sandbox.
const CASES: &[Case] = &[
    Case {
        key: "server.bind",
        default: Some(r#""127.0.0.1""#),
        file: number(r#""127.0.0.2""#),
        variable: text("localhost", r#""127.0.0.1""#),
        flag: Some(text("::1", r#""::1""#)),
    },
    Case {
        key: "server.port",
        default: Some("8321"),
        file: number("0"),
        variable: number("65535"),
        flag: Some(number("9000")),
    },
    Case {
        key: "server.shutdown_timeout",
        default: Some("30"),
        file: number("2.5"),
        variable: text("1e-3", "0.001"),
        flag: Some(number("86400")),
    },
    Case {
        key: "server.max_connections",
        default: Some("1024"),
        file: number("1"),
        variable: number("4294967295"),
        flag: None,
    },
    Case {
        key: "server.auth_token",
        default: None,
        file: text(r#""one""#, r#""***""#),
        variable: text("two", r#""***""#),
        flag: None,
    },
    Case {
        key: "server.auth_token_file",
        default: None,
        file: text(r#""~/one""#, r#""~/one""#),
        variable: text("two", r#""~/two""#),
        flag: None,
    },
    Case {
        key: "server.hosts",
        default: Some("[]"),
        file: text(
            r#"["Films.example.org.", ".Example.net", "films.example.org"]"#,
            r#"["films.example.org", ".example.net"]"#,
        ),
        variable: text("a.example, *", r#"["a.example", "*"]"#),
        flag: None,
    },
    Case {
        key: "database.path",
        default: Some(r#""~/.vpo/library.db""#),
        file: text(r#""/data/one.db""#, r#""/data/one.db""#),
        variable: text("$HOME/two.db", r#""~/two.db""#),
        flag: Some(text("three.db", r#""~/three.db""#)),
    },
    Case {
        key: "database.verify_interval",
        default: Some("86400"),
        file: number("0"),
        variable: text("3600.0", "3600"),
        flag: None,
    },
    Case {
        key: "logging.level",
        default: Some(r#""info""#),
        file: number(r#""debug""#),
        variable: text("WARNING", r#""warning""#),
        flag: Some(text("error", r#""error""#)),
    },
    Case {
        key: "logging.format",
        default: Some(r#""text""#),
        file: number(r#""json""#),
        variable: text("text", r#""text""#),
        flag: Some(text("Json", r#""json""#)),
    },
    Case {
        key: "logging.output",
        default: Some(r#""stderr""#),
        file: number(r#""stdout""#),
        variable: text("stderr", r#""stderr""#),
        flag: None,
    },
    Case {
        key: "scan.roots",
        default: Some("[]"),
        file: text(r#"["/a", "/b:c,d"]"#, r#"["/a", "/b:c,d"]"#),
        variable: text("/a,b:~/c:", r#"["/a,b", "~/c"]"#),
        flag: Some(text("/e:f,g", r#"["/e:f,g"]"#)),
    },
    Case {
        key: "scan.watch",
        default: Some("true"),
        file: number("false"),
        variable: number("true"),
        flag: None,
    },
    Case {
        key: "scan.rescan_interval",
        default: Some("3600"),
        file: number("0"),
        variable: text("60.0", "60"),
        flag: None,
    },
    Case {
        key: "scan.extensions",
        default: Some(r#"["mkv", "mp4", "avi", "webm", "m4v", "mov"]"#),
        file: text(r#"[".MKV", "ts", "mkv"]"#, r#"["mkv", "ts"]"#),
        variable: text("MP4, .avi", r#"["mp4", "avi"]"#),
        flag: None,
    },
    Case {
        key: "scan.job_retention_days",
        default: Some("90"),
        file: number("0"),
        variable: number("65535"),
        flag: None,
    },
    Case {
        key: "scan.history_days",
        default: Some("365"),
        file: number("0"),
        variable: number("65535"),
        flag: None,
    },
];

#[test]
fn flags_win_over_variables_over_the_file_over_the_defaults() {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        sandbox.write(name, "token\n");
    }
    for case in CASES {
        let (section, field) = case.key.split_once('.').expect("section.key");
        let variable = format!("VPO_{}_{}", section.to_uppercase(), field.to_uppercase());
        let flag = KEYS.iter().find(|key| key.name == case.key).expect("a key").flag;
        assert_eq!(flag.is_some(), case.flag.is_some(), "{}", case.key);
        for sources in 0..8 {
            let mut command = sandbox.vpo(["config"]);
            let mut expected = case.default.map(|shown| (shown, "default".to_owned()));
            let mut content = String::new();
            if sources & 1 != 0 {
                content = format!("[{section}]\n{field} = {}\n", case.file.said);
                let place = format!("{}/.vpo/config.toml:2:{}", sandbox.home(), field.len() + 4);
                expected = Some((case.file.shown, place));
            }
            sandbox.write(".vpo/config.toml", content);
            if sources & 2 != 0 {
                command.env(&variable, case.variable.said);
                expected = Some((case.variable.shown, variable.clone()));
            }
            if sources & 4 != 0
                && let (Some(name), Some(given)) = (flag, &case.flag)
            {
                command.args([name, given.said]);
                expected = Some((given.shown, name.to_owned()));
            }
            let said = super::Said::by(&mut command).quietly();
            let shown = expected.map(|(shown, origin)| (shown.replace('~', &sandbox.home()), origin));
            let got = said.value(case.key).map(|(shown, origin)| (shown.to_owned(), origin.to_owned()));
            assert_eq!(got, shown, "{} with sources {sources:03b}", case.key);
        }
    }
}

#[test]
fn every_key_has_its_case() {
    let cases: Vec<&str> = CASES.iter().map(|case| case.key).collect();
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(cases, keys);
}

#[test]
fn the_token_and_its_file_are_one_setting_and_the_higher_layer_says_it() {
    let sandbox = Sandbox::new();
    sandbox.write("secret", "from the file");
    sandbox.write(".vpo/config.toml", "[server]\nauth_token_file = \"~/secret\"\n");
    let said = sandbox.config_with(&[], &[("VPO_SERVER_AUTH_TOKEN", "swordfish")]).quietly();
    assert_eq!(said.value("server.auth_token"), Some((r#""***""#, "VPO_SERVER_AUTH_TOKEN")));
    assert_eq!(said.value("server.auth_token_file"), None);
    assert!(!said.stdout.contains("swordfish"));

    sandbox.write(".vpo/config.toml", "[server]\nauth_token = \"swordfish\"\n");
    let said = sandbox.config_with(&[], &[("VPO_SERVER_AUTH_TOKEN_FILE", "secret")]).quietly();
    assert_eq!(said.value("server.auth_token"), None);
    let path = format!("{:?}", sandbox.path("secret"));
    assert_eq!(said.value("server.auth_token_file"), Some((path.as_str(), "VPO_SERVER_AUTH_TOKEN_FILE")));
}
