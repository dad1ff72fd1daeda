//! What the page says while the database cannot be used.

use std::fs;
use std::time::Duration;

use super::{browse, overview, serve, view};
use crate::harness::{eventually, within};

#[test]
fn a_database_that_is_gone_is_reported_and_comes_back() {
    let (sandbox, daemon) = serve();
    overview(&daemon);
    let aside = sandbox.path("aside.db");
    fs::rename(sandbox.library(), &aside).expect("moved");
    let live = within(Duration::from_secs(2), "the page says it", || {
        Some(view(&daemon, "/live")).filter(|live| live.contains("data-down"))
    });
    assert!(live.contains("The database cannot be used.") && live.contains("restore a backup"), "{live}");
    for path in ["/", "/files", "/jobs", "/file/1"] {
        let page = browse(&daemon, path);
        assert_eq!((page.status, page.header("retry-after")), (503, Some("1")), "{path}");
        assert!(page.body.contains("restore a backup") && page.body.contains("<nav"), "{path}: {page:?}");
        assert!(page.body.contains("http-equiv=\"refresh\""), "{path}");
    }
    assert!(view(&daemon, "/about").contains("The database cannot be used."));
    fs::rename(&aside, sandbox.library()).expect("back");
    eventually("the page is back", || (browse(&daemon, "/files").status == 200).then_some(()));
    eventually("nothing is reported", || (!view(&daemon, "/live").contains("data-down")).then_some(()));
}

#[test]
fn a_damaged_database_is_reported() {
    let (sandbox, daemon) = serve();
    fs::write(sandbox.library(), "this is not a database any more, and no one can read it").expect("damaged");
    eventually("the page says it", || view(&daemon, "/live").contains("data-down").then_some(()));
    let page = browse(&daemon, "/");
    assert!(page.status == 503 && page.body.contains("The library cannot be read now"), "{page:?}");
    assert!(page.body.contains("vpo restore FILE") && !page.body.contains("lost by waiting"), "{page:?}");
}
