//! What is written about the configuration is true: `vpo config` reads what it prints, the documentation's table
//! and the example file match the code; and the keys that a reload applies.

use std::path::Path;

use super::{Said, Sandbox};
use vpo::config::error::MAX_PROBLEMS;
use vpo::config::keys::{KEYS, Key};
use vpo::config::{Config, Environment, Layer, Resolved, Secret};

fn documentation(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(path).expect("documentation")
}

/// The configuration of a file with this content and this home.
fn resolved(sandbox: &Sandbox, content: &str) -> Resolved {
    let path = sandbox.write("resolved.toml", content);
    let flags = Layer::from_flags(path.to_str(), [], &[]);
    let environment = Environment::new([("HOME", sandbox.home())], sandbox.path(""));
    Config::resolve(&flags, &environment).unwrap_or_else(|error| panic!("{error}\n{content}"))
}

#[test]
fn the_table_in_the_documentation_is_the_code() {
    let sandbox = Sandbox::new();
    let defaults = sandbox.config(&[]).quietly();
    let text = documentation("configuration.md");
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| {
            line.starts_with("| `server.")
                || KEYS.iter().any(|key| line.starts_with(&format!("| `{}`", key.name)))
        })
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect())
        .collect();
    let expected: Vec<Vec<String>> = KEYS
        .iter()
        .map(|key| {
            let default = match defaults.value(key.name) {
                Some((value, _)) => value.replace(&sandbox.home(), "~"),
                None => "none".into(),
            };
            vec![key.name.into(), key.variable(), key.flag.unwrap_or("–").into(), default]
        })
        .collect();
    let given: Vec<Vec<String>> = rows.iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(given, expected);
    for (row, key) in rows.iter().zip(KEYS) {
        let applied = if key.reload { "reload" } else { "restart" };
        assert_eq!(row[4], applied, "{}", key.name);
    }
}

#[test]
fn the_documentation_says_how_many_problems_are_reported() {
    let text = documentation("configuration.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let said = format!("more than {MAX_PROBLEMS} problems, the first {MAX_PROBLEMS} are reported");
    assert!(text.contains(&said), "{said:?} is not in docs/configuration.md");
}

#[test]
fn the_example_file_has_every_key_and_says_the_defaults() {
    let sandbox = Sandbox::new();
    let text = documentation("vpo.toml");
    let defaults = resolved(&sandbox, "");
    // As it is: everything commented out.
    let as_it_is = resolved(&sandbox, &text);
    assert_eq!((&as_it_is.config, as_it_is.origins.len()), (&defaults.config, 0));
    // With each `# key = value` made real.
    let mut section = "";
    let (mut made_real, mut examples) = (Vec::new(), Vec::new());
    let mut uncommented = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        let real = line.strip_prefix("# ").filter(|line| {
            let field = line.split(" = ").next().unwrap_or("");
            KEYS.iter().any(|key| key.section == section && key.field == field)
        });
        let mut line = line;
        if let Some(real) = real {
            let field = real.split(" = ").next().unwrap_or("");
            let key = Key::find(&format!("{section}.{field}")).expect("a key").name;
            made_real.push(key);
            if key.starts_with("server.auth_token") {
                examples.push((key, format!("[{section}]\n{real}\n")));
            } else {
                line = real;
            }
        }
        uncommented += line;
        uncommented += "\n";
    }
    assert_eq!(resolved(&sandbox, &uncommented).config, defaults.config);
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(made_real, keys);
    // A key without a default has an example, which is a valid value of that key.
    for (name, example) in examples {
        let path = sandbox.write("example.toml", example);
        let flags = Layer::from_flags(path.to_str(), [], &[]);
        let environment = Environment::new([("HOME", sandbox.home())], sandbox.path(""));
        let resolved = Config::resolve_without_secrets(&flags, &environment).expect("valid");
        assert!(resolved.origins.contains_key(name), "{name}");
    }
}

#[test]
fn the_help_says_the_defaults() {
    let sandbox = Sandbox::new();
    let defaults = sandbox.config(&[]).quietly();
    for command in ["serve", "config"] {
        let help = String::from_utf8(sandbox.run([command, "--help"]).stdout).expect("UTF-8");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for key in KEYS.iter().filter(|key| key.name != "scan.roots") {
            let Some(flag) = key.flag else { continue };
            let (value, _) = defaults.value(key.name).expect("a default");
            let value = value.trim_matches('"').replace(&sandbox.home(), "~");
            let text = help.rsplit_once(&format!("{flag} ")).expect("the flag").1;
            let default = text.split_once("(default ").expect("a default").1;
            assert!(default.starts_with(&value), "{command} {flag}: {default}");
        }
    }
}

/// A small generator of numbers (xorshift): the same configurations in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).expect("small")]
    }

    fn name(&mut self) -> String {
        (0..=self.below(5))
            .map(|_| {
                self.pick(&[
                    "a", "Z", "ä", "日", " ", "\"", "'", "\\", "#", "\t", "\n", "=", "[", "]", "%", "\u{7f}",
                    "~", "$HOME", "\"\"\"", "😀", "\r\n",
                ])
            })
            .collect()
    }

    fn path(&mut self) -> String {
        let start = self.pick(&["/", "~/", "./", "/x/"]);
        format!("{start}p{}", self.name())
    }

    fn configuration(&mut self, token: &str) -> toml::Table {
        let mut table = toml::Table::new();
        for key in KEYS {
            if self.below(2) == 0 {
                continue;
            }
            let value: toml::Value = match key.name {
                "server.bind" => self.pick(&["0.0.0.0", "::", "::1", "10.1.2.3", "::ffff:1.2.3.4"]).into(),
                "server.port" | "scan.job_retention_days" | "scan.history_days" => {
                    i64::try_from(self.below(65536)).expect("small").into()
                }
                "server.shutdown_timeout" => {
                    (f64::from(u32::try_from(self.below(86_400_000)).expect("small")) / 1000.0).into()
                }
                "server.max_connections" => {
                    i64::try_from(self.below(4_294_967_295) + 1).expect("fits").into()
                }
                "server.auth_token_file" => token.into(),
                "server.auth_token" => continue,
                "server.hosts" => (0..self.below(3))
                    .map(|_| self.pick(&["films.example.org", ".Example.net", "*", "a_b", "x."]))
                    .collect::<Vec<_>>()
                    .into(),
                "database.path" => self.path().into(),
                "database.verify_interval" => i64::try_from(self.below(31_536_001)).expect("small").into(),
                "logging.level" => self.pick(&["debug", "INFO", "Warning", "error"]).into(),
                "logging.format" => self.pick(&["text", "json"]).into(),
                "logging.output" => self.pick(&["stderr", "stdout"]).into(),
                "scan.roots" => (0..self.below(4))
                    .map(|index| format!("/{index}{}", self.path()))
                    .collect::<Vec<_>>()
                    .into(),
                "scan.watch" => (self.below(2) == 0).into(),
                "scan.rescan_interval" => {
                    if self.below(4) == 0 {
                        0.into()
                    } else {
                        (f64::from(u32::try_from(self.below(31_536_000)).expect("small")) + 0.1)
                            .min(31_536_000.0)
                            .into()
                    }
                }
                "scan.extensions" => (0..=self.below(3))
                    .map(|_| self.pick(&["mkv", ".TS", "ÄÖ", "3gp", "m-v", "a#b", "\"q"]))
                    .collect::<Vec<_>>()
                    .into(),
                other => panic!("{other} is new: give it values"),
            };
            let section = table.entry(key.section).or_insert_with(|| toml::Table::new().into());
            section.as_table_mut().expect("a section").insert(key.field.into(), value);
        }
        table
    }
}

#[test]
fn what_vpo_config_prints_leads_to_the_same_configuration() {
    let sandbox = Sandbox::new();
    let token = sandbox.write("the token", "swordfish");
    let names: Vec<&str> = resolved(&sandbox, "").config.shown().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..100 {
        let original = dice.configuration(token.to_str().expect("UTF-8")).to_string();
        let file = sandbox.write("original # 1.toml", &original);
        let printed = Said::by(sandbox.vpo(["config", "--config"]).arg(&file)).quietly().stdout;
        assert_eq!(
            resolved(&sandbox, &printed).config,
            resolved(&sandbox, &original).config,
            "{original}\n{printed}"
        );
        // And prints itself again, but for the origins.
        let again = sandbox.write("printed.toml", &printed);
        let again = Said::by(sandbox.vpo(["config", "--config"]).arg(&again)).quietly().stdout;
        let tables = [&printed, &again].map(|text| text.parse::<toml::Table>().expect("TOML"));
        assert_eq!(tables[0], tables[1]);
        assert_eq!(
            tables[0].values().filter_map(toml::Value::as_table).map(toml::Table::len).sum::<usize>()
                + unset(&printed),
            KEYS.len()
        );
    }
}

/// How many keys are only there as comments.
fn unset(printed: &str) -> usize {
    printed.lines().filter(|line| line.starts_with("# ") && line.ends_with(" is not set")).count()
}

#[test]
fn a_reload_takes_over_the_level_and_the_library_and_names_the_rest() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.write("one", "1"), sandbox.write("two", "2"));
    let old = resolved(&sandbox, &format!("server.auth_token_file = {one:?}")).config;
    let values = [
        ("server.bind", "'::1'"),
        ("server.port", "0"),
        ("server.shutdown_timeout", "0.5"),
        ("server.max_connections", "7"),
        ("server.hosts", "['a.example']"),
        ("database.path", "'/x'"),
        ("database.verify_interval", "0"),
        ("logging.level", "'debug'"),
        ("logging.format", "'json'"),
        ("logging.output", "'stdout'"),
        ("scan.roots", "['/x']"),
        ("scan.watch", "false"),
        ("scan.rescan_interval", "0"),
        ("scan.extensions", "['mkv']"),
        ("scan.job_retention_days", "0"),
        ("scan.history_days", "0"),
    ];
    let secrets = ["server.auth_token", "server.auth_token_file"];
    let names = KEYS.iter().map(|key| key.name).filter(|name| !secrets.contains(name));
    assert_eq!(values.map(|(key, _)| key).to_vec(), names.collect::<Vec<_>>());
    for (key, value) in values {
        let new = resolved(&sandbox, &format!("server.auth_token_file = {one:?}\n{key} = {value}")).config;
        let changes = Config::changes(&old, &new);
        let expected = if Key::find(key).is_some_and(|key| key.reload) {
            (vec![key], vec![])
        } else {
            (vec![], vec![key])
        };
        assert_eq!((changes.live, changes.restart), expected);
    }
    let new = resolved(&sandbox, &format!("server.auth_token_file = {two:?}")).config;
    assert_eq!(Config::changes(&old, &new).restart, ["server.auth_token", "server.auth_token_file"]);
    let new = resolved(&sandbox, "server.auth_token = '1'").config;
    assert_eq!(Config::changes(&old, &new).restart, ["server.auth_token_file"]);
    sandbox.write("one", "3");
    let new = resolved(&sandbox, &format!("server.auth_token_file = {one:?}")).config;
    assert_eq!(Config::changes(&old, &new).restart, ["server.auth_token"]);
    assert_eq!(Config::changes(&old, &old), vpo::config::Changes::default());
}

#[test]
fn a_probe_finds_the_library_whatever_else_is_wrong() {
    let sandbox = Sandbox::new();
    let environment = |path: Option<&str>| {
        let variables = [("HOME", sandbox.home())]
            .into_iter()
            .chain(path.map(|path| ("VPO_DATABASE_PATH", path.to_owned())));
        Environment::new(variables, sandbox.path(""))
    };
    let find = |content: &str, path: Option<&str>| {
        let file = sandbox.write("c.toml", content);
        let flags = Layer::from_flags(file.to_str(), [], &[]);
        Config::database_path(&flags, &environment(path)).ok()
    };
    let elsewhere = Some("/data/library.db".into());
    assert_eq!(
        find("database.path = '/data/library.db'\nserver.port = -1\nserver.auth_token_file = '/none'", None),
        elsewhere
    );
    // What leaves the path in doubt …
    for content in ["database.path = 1", "database.path = '~x'", "not TOML"] {
        assert_eq!(find(content, None), None, "{content}");
        // … does not where a variable gives it.
        assert_eq!(find(content, Some("/data/library.db")), elsewhere, "{content}");
    }
    assert_eq!(find("", Some("")), None);
    // An unknown name does not hide the path, nor do many.
    assert_eq!(find("[servr]\nx = 1", None), Some(sandbox.library()));
    assert_eq!(find("database_path = '/data/library.db'\n[databse]\npath = '/x'", None), elsewhere);
    let many = (0..300).map(|index| format!("[section{index}]\n")).collect::<Vec<_>>().concat();
    assert_eq!(find(&format!("{many}[database]\npath = '/data/library.db'"), None), elsewhere);
    assert_eq!(find("server.port = -1", None), Some(sandbox.library()));
    // And where the rest matters too, the token's file may be out of reach.
    let file = sandbox.write("c.toml", "server.port = 9\nserver.auth_token_file = '/none'");
    let flags = Layer::from_flags(file.to_str(), [], &[]);
    assert!(Config::resolve(&flags, &environment(None)).is_err());
    let resolved = Config::resolve_without_secrets(&flags, &environment(None)).expect("without the token");
    assert_eq!((resolved.config.server.port, resolved.config.server.auth_token), (9, None));
}

#[test]
fn a_probe_names_what_leaves_the_library_in_doubt() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(".vpo/config.toml", "[databse]\npath = '/data/library.db'\n");
    let line = format!("unknown section [databse]: {}:1:2: did you mean [database]?", file.display());
    Said::by(&mut sandbox.vpo(["healthcheck"])).refused(&[&line]);
}

#[test]
fn a_secret_equals_itself_only_and_is_not_shown() {
    let secret = Secret::new("swordfish").expect("a token");
    assert_eq!(Secret::new("swordfish").as_ref(), Some(&secret));
    for other in ["", "s", "swordfisH", "swordfish ", "Swordfish", "swordfishswordfish"] {
        assert_ne!(Secret::new(other).as_ref(), Some(&secret), "{other}");
    }
    assert_eq!(secret.expose(), "swordfish");
    assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "*** Some(\n    ***,\n)");
}
