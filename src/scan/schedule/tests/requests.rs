//! Queued jobs: taken, refused, and their ends recorded.

use super::*;

/// The ends that are to be recorded: the job, and why it failed.
fn ends(actions: &[Action]) -> Vec<(&str, &str)> {
    let mut ends = Vec::new();
    for action in actions {
        if let Action::RecordEnd { id, end: End::Failed(why) } = action {
            ends.push((id.as_str(), why.as_str()));
        }
    }
    ends
}

#[test]
fn request_starts_a_scan_of_its_path_in_the_innermost_root() {
    let mut world = World::at_rest(settings(&["/a", "/a/b"]));
    for _ in 0..2 {
        world.take(Event::Requests(vec![queued("one", "/a/b//c/")]));
    }
    let scan = world.scan().expect("the request");
    assert_eq!((scan.root.as_path(), scan.reason.as_str()), (Path::new("/a/b"), "request"));
    assert_eq!(scan.targets[0].as_os_str(), "/a/b/c");
    world.take(Event::Requests(vec![queued("one", "/a/b//c/")]));
    world.end(&scan, completed());
    assert_eq!(world.scan(), None, "a job is taken once");
}

#[test]
fn requests_that_cannot_be_met_are_refused() {
    let mut world = World::at_rest(settings(&["/a", "/b"]));
    let malformed = Request::Malformed { id: "malformed".to_owned(), why: "no number".to_owned() };
    let requests = [queued("unknown", "/c"), queued("parent", "/a/../b"), malformed];
    let actions = world.take(Event::Requests(requests.into()));
    let expected = [
        (
            "unknown",
            "error[outside_roots]: /c is not below a root of the daemon (/a, /b), and a running daemon scans only its roots: add /c to scan.roots and reload it, or stop it to scan /c once",
        ),
        ("parent", "error[invalid_request]: /a/../b contains ..; give the path without it"),
        ("malformed", "error[invalid_request]: its policy_json is not valid: no number"),
    ];
    assert_eq!(ends(&actions), expected);
    assert_eq!(world.scan(), None);
}

#[test]
fn request_for_a_root_that_was_removed_is_refused() {
    let mut world = World::at_rest(settings(&["/a", "/b"]));
    world.take(Event::Requests(vec![queued("one", "/a/c")]));
    world.take(Event::Settings(settings(&["/b"])));
    assert_eq!(ends(&world.dispatch()), [("one", "error[outside_roots]: /a/c is no longer a root")]);
}

#[test]
fn request_comes_before_what_is_due() {
    let mut world = World::with(settings(&["/a", "/b"]));
    world.take(Event::Requests(vec![queued("one", "/b")]));
    assert_eq!(world.reason().as_deref(), Some("request"));
    assert_eq!(world.reason().as_deref(), Some("start"));
}

#[test]
fn end_is_kept_until_it_is_recorded() {
    let mut world = World::at_rest(settings(&["/a"]));
    let first = world.take(Event::Requests(vec![queued("one", "/c")]));
    assert_eq!(ends(&first).len(), 1);
    let again = world.take(Event::Requests(vec![queued("one", "/c")]));
    assert!(ends(&again).is_empty(), "it is refused once");
    for _ in 0..2 {
        assert_eq!(ends(&world.tick())[0].0, "one");
    }
    world.take(Event::EndRecorded { id: "one".to_owned() });
    assert!(ends(&world.tick()).is_empty());
}
