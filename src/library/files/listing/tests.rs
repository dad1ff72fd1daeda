//! Plans of the queries.

use super::*;
use crate::library::schema::plan;

/// With the tables of facts.
fn source() -> facts::Source {
    let connection = Connection::open_in_memory().expect("a database");
    facts::create(&connection);
    facts::Source::new(&connection).expect("read")
}

fn page_plan(filter: &Filter) -> (String, bool) {
    let (sql, values) = query(filter, &source(), 7, 100);
    (plan(&sql, &values), window_end(filter, 7) != i64::MAX)
}

#[test]
fn every_page_follows_an_index_in_order_or_is_bounded() {
    let some = || Some("x".to_owned());
    let facts = "SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN";
    let files = "SEARCH files USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
    let by_id = &format!("{files}; {facts}");
    let track = "SEARCH tracks EXISTS USING INDEX idx_tracks_file_id (file_id=?)";
    for (filter, expected, bounded) in [
        (Filter::default(), by_id.clone(), false),
        (
            Filter { directory: some(), ..Filter::default() },
            format!(
                "SEARCH files USING INDEX idx_files_directory (directory=? AND rowid>? AND rowid<?); {facts}"
            ),
            false,
        ),
        (
            Filter { extension: some(), ..Filter::default() },
            format!(
                "SEARCH files USING INDEX idx_files_extension (extension=? AND rowid>? AND rowid<?); {facts}"
            ),
            false,
        ),
        (Filter { status: some(), ..Filter::default() }, by_id.clone(), true),
        (Filter { path_contains: some(), ..Filter::default() }, by_id.clone(), true),
        (Filter { codec: some(), ..Filter::default() }, format!("{files}; {track}; {facts}"), true),
        (Filter { language: some(), ..Filter::default() }, format!("{files}; {track}; {facts}"), true),
    ] {
        let (plan, is_bounded) = page_plan(&filter);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
        assert_eq!((plan, is_bounded), (expected, bounded), "{filter:?}");
    }
}

#[test]
fn every_mixture_of_filters_is_bounded() {
    for bits in 0..64_u8 {
        let on = |bit: u8| (bits & 1 << bit != 0).then(|| "x".to_owned());
        let filter = Filter {
            status: on(0),
            extension: on(1),
            codec: on(2),
            language: on(3),
            directory: on(4),
            path_contains: on(5),
        };
        let (plan, _) = page_plan(&filter);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
    }
}

#[test]
fn one_file_is_found_by_keys() {
    let file = plan(&format!("{} WHERE files.id = 1", select(&source())), &[]);
    let facts = "SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN";
    assert_eq!(file, format!("SEARCH files USING INTEGER PRIMARY KEY (rowid=?); {facts}"));
    let tracks = plan(&tracks_sql(&source()).replace("?1", "1").replace("?2", "9"), &[]);
    assert_eq!(
        tracks,
        "SEARCH tracks USING INDEX sqlite_autoindex_tracks_1 (file_id>? AND file_id<?); \
         SEARCH d USING PRIMARY KEY (file_id=? AND track_index=?) LEFT-JOIN"
    );
    let twin = plan(&TWIN.replace("?1", "'x'").replace("?2", "9"), &[]);
    assert_eq!(twin, "SEARCH files USING INDEX idx_files_content_hash (content_hash=?)");
}

#[test]
fn what_many_rows_do_not_show_may_be_there() {
    let connection = crate::library::schema::in_memory();
    connection.execute_batch("PRAGMA foreign_keys = OFF").expect("set");
    let insert = "INSERT INTO tracks (file_id, track_index, track_type, codec)
        VALUES (1, 0, 'video', 'hevc'), (1, 1, 'audio', 'AAC'), (1, 2, 'audio', NULL)";
    connection.execute(insert, []).expect("rows");
    let of = |codec, most| may_have_codec(&connection, codec, most).expect("read");
    assert_eq!((of("aac", 3), of("av1", 3), of("av1", 2)), (true, false, true));
    let insert = "INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at, container_format)
        VALUES ('a', '', '', '', 1, '', '', 'avi'), ('b', '', '', '', 1, '', '', NULL)";
    connection.execute(insert, []).expect("rows");
    let of = |name: &str, most| may_have_container(&connection, &|found| found == name, most).expect("read");
    assert_eq!((of("avi", 2), of("mov", 2), of("mov", 1)), (true, false, true));
}
