//! How SQLite is built: without what VPO does not use, in every way to build it.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("readable")
}

/// The text between quotes after `key` and an equals sign.
fn value(text: &str, key: &str) -> String {
    let rest = text.split_once(key).expect("the key is there").1;
    rest.split('"').nth(1).expect("a quoted value").to_owned()
}

#[test]
fn both_builds_leave_out_the_same_parts() {
    let (cargo, container) = (read(".cargo/config.toml"), read("Containerfile"));
    for key in ["LIBSQLITE3_FLAGS", "CFLAGS"] {
        let cargo = value(&cargo, &format!("\n{key} ="));
        let container = value(&container, &format!(" {key}="));
        assert_eq!(cargo, container, "{key}");
        assert_eq!(cargo.contains("-fstack-protector"), key == "CFLAGS", "{cargo}");
    }
}

#[test]
fn unused_parts_are_compiled_out() {
    let connection = Connection::open_in_memory().expect("a database");
    let mut statement = connection.prepare("PRAGMA compile_options").expect("a query");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("options");
    let options: BTreeSet<_> = rows.collect::<Result<_, _>>().expect("options");
    for part in ["FTS3", "FTS4", "FTS5", "RTREE", "DBSTAT_VTAB", "STAT4", "LOAD_EXTENSION", "SOUNDEX"] {
        let of_part = |option: &&String| option.contains(part) && !option.starts_with("OMIT_");
        assert_eq!(options.iter().find(of_part), None, "{part} is in: {options:?}");
    }
    assert!(options.contains("OMIT_LOAD_EXTENSION"), "{options:?}");
}
