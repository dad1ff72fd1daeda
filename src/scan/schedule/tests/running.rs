//! Jobs that run: one scan at a time, stuck ones, and those that fail.

use super::*;

#[test]
fn one_scan_runs_at_a_time() {
    let mut world = World::with(settings(&["/a", "/b"]));
    let scan = world.scan().expect("a scan");
    assert_eq!(world.scan(), None);
    world.end(&scan, completed());
    assert_eq!(world.scan().expect("a scan").root, Path::new("/b"));
}

#[test]
fn stuck_scan_no_longer_delays_other_roots() {
    let mut world = World::with(settings(&["/a", "/b"]));
    let stuck = world.scan().expect("a scan");
    world.beats = vec![(stuck.id, 1)];
    world.tick();
    world.wait(30);
    world.tick();
    assert_eq!((world.root_problem("/a"), world.scan()), (None, None));
    world.wait(1);
    world.tick();
    assert_eq!(world.root_problem("/a"), Some("stalled"));
    assert_eq!(world.root_problem("/b"), None);
    world.take(Event::Requests(vec![queued("one", "/a")]));
    let other = world.scan().expect("a scan");
    assert_eq!(other.root, Path::new("/b"), "what is asked of /a waits for its scan");
    world.end(&other, completed());
    world.beats = vec![(stuck.id, 2)];
    world.tick();
    assert_eq!(world.root_problem("/a"), None, "it goes on");
    world.end(&stuck, completed());
    assert_eq!(world.reason().as_deref(), Some("request"));
}

#[test]
fn scan_that_crashed_is_reported_and_made_again() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    let end = End::Failed(Error::Crashed.to_string());
    world.end(&scan, Report { unrecorded: Some(end), ..failed(Error::Crashed) });
    assert_eq!(world.problem(), Some("crashed"));
    assert_eq!(world.schedule.state().counts.failed, 1);
    let actions = world.tick();
    assert!(actions.iter().any(|action| matches!(action, Action::RecordEnd { id, .. } if id == "job 1")));
    world.assert_scanned_again_after_15_seconds();
}

#[test]
fn scan_without_a_thread_is_made_again() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    let error = || Error::Threads(std::io::ErrorKind::WouldBlock.into());
    world.end(&scan, Report { idle: true, ..failed(error()) });
    assert_eq!(world.problem(), Some("threads"));
    assert_eq!(world.schedule.state().counts.failed, 0);
    let id = hash_pass(&world.dispatch()).expect("a pass of hashes");
    world.take(Event::Hashed { id, outcome: Err(error()) });
    world.wait(14);
    let actions = world.dispatch();
    assert_eq!((hash_pass(&actions), scans(actions)), (None, vec![]));
    world.wait(1);
    assert_eq!(world.reason().as_deref(), Some("again"));
    assert_eq!(world.problem(), None);
}

#[test]
fn no_scan_starts_before_rows_of_an_earlier_daemon_are_closed() {
    let mut world = World::new();
    world.take(Event::Settings(settings(&["/a"])));
    world.look("/a", Ok(look()));
    for (seconds, problem) in [(0, None), (9, None), (1, Some("library"))] {
        world.wait(seconds);
        let actions = world.tick();
        assert!(actions.iter().any(|action| matches!(action, Action::CloseAbandoned)));
        world.take(Event::AbandonedClosed(Err(busy())));
        assert_eq!((world.problem(), world.scan()), (problem, None), "another program may be busy for 10 s");
    }
    world.take(Event::AbandonedClosed(Ok(2)));
    assert_eq!(world.problem(), None);
    assert_eq!(world.reason().as_deref(), Some("start"));
}

#[test]
fn failure_to_close_rows_that_is_not_brief_is_reported_at_once() {
    let mut world = World::new();
    world.take(Event::AbandonedClosed(Err(library::Error::ReadOnly("library.db".into()))));
    assert_eq!(world.problem(), Some("library"));
}
