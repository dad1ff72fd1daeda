//! How many reads an answer takes.

use super::*;
use crate::library::schema::in_memory;

#[test]
fn orders_without_an_index_are_made_a_few_times_only() {
    let mut connection = in_memory();
    let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO files (path, filename, directory, extension, size_bytes, modified_at, scanned_at)
         SELECT i, '', '', '', i % 1000, '', '' FROM n";
    connection.execute(insert, []).expect("rows");
    let tx = connection.transaction().expect("begun");
    let sort = Sort::parse("-size").expect("an order");
    let question = Question { sort, tracks: false, ..Question::new(None) };
    // Each slice examines one chunk, as on a slow machine.
    let bounds = Bounds { time: Duration::ZERO, ..Bounds::slice(u64::MAX) };
    let (mut cursor, mut sizes, mut orders) = (Some(Cursor::default()), Vec::new(), 0);
    while let Some(from) = cursor.take() {
        let walked = question.walk(&tx, &from, bounds, &mut |details| {
            sizes.push(details.file.size_bytes);
            true
        });
        cursor = walked.expect("read").expect("there").next_cursor;
        orders += usize::from(from.ahead.is_empty());
    }
    assert!(sizes.len() == 10_000 && sizes.is_sorted_by(|a, b| a >= b), "{}", sizes.len());
    assert!(orders <= 4, "{orders} times");
}
