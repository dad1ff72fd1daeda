use super::*;
use crate::library::schema::{self, plan};

#[test]
fn rows_are_found_along_an_index_and_in_the_order_of_rowids() {
    let queued = plan(QUEUED, &[]);
    assert_eq!(queued, "SEARCH jobs USING INDEX idx_jobs_status (status=?); USE TEMP B-TREE FOR ORDER BY");
    assert_eq!(plan(RUNNING, &[Box::new(BY)]), "SEARCH jobs USING INDEX idx_jobs_status (status=?)");
}

#[test]
fn vacuum_keeps_the_order_in_which_rows_were_inserted() {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("copy.db");
    let connection = Connection::open_in_memory().expect("memory");
    connection.execute_batch(schema::SQL).expect("the schema");
    // Ids and times in no order, and gaps between the rowids.
    for number in 0..200_u32 {
        let id = format!("{:08x}", number.wrapping_mul(2_654_435_761));
        let options = Options::new(Reason::Request);
        queue(&connection, &id, "/films", &options).expect("queued");
        let time = Timestamp::from_unix(i64::from(number * 7919 % 200) * 1_000_000, 0);
        connection.execute("UPDATE jobs SET created_at = ?2 WHERE id = ?1", params![id, time]).expect("set");
    }
    connection.execute_batch("DELETE FROM jobs WHERE rowid % 3 = 0").expect("deleted");
    let order = |connection: &Connection| {
        let ids = queued(connection).expect("rows").into_iter().map(|one| one.id().to_owned());
        ids.collect::<Vec<_>>()
    };
    let before = order(&connection);
    assert_eq!(before.len(), 134);
    let inserted: Vec<_> = before.iter().map(|id| u32::from_str_radix(id, 16).expect("hex")).collect();
    assert!(!inserted.is_sorted(), "ids are in no order");
    connection.execute("VACUUM INTO ?1", [copy.to_str()]).expect("copied");
    assert_eq!(order(&Connection::open(&copy).expect("opens")), before);
    connection.execute_batch("VACUUM").expect("vacuumed");
    assert_eq!(order(&connection), before);
}
