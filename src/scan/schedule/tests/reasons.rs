//! Why and when scans start.

use super::*;

#[test]
fn first_scan_has_the_reason_start() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    assert_eq!((scan.root, scan.reason.as_str()), ("/a".into(), "start"));
    assert_eq!(scan.targets, [Path::new("/a")]);
}

#[test]
fn first_scan_waits_for_its_watch() {
    for event in [WatchEvent::Started, WatchEvent::Failed(crate::scan::watch::WatchError::Thread)] {
        let mut world = World::with(watched(&["/a"]));
        assert_eq!(world.scan(), None);
        world.watch(1, event);
        assert_eq!(world.reason().as_deref(), Some("start"));
    }
    let mut world = World::with(watched(&["/a"]));
    world.wait(3);
    assert_eq!(world.reason().as_deref(), Some("start"), "a watch that does not start delays it for 3 s");
}

#[test]
fn interval_begins_with_the_end_of_a_scan() {
    let interval = Some(Duration::from_secs(600));
    let mut world = World::at_rest(Settings { rescan_interval: interval, ..settings(&["/a"]) });
    world.wait(599);
    assert_eq!(world.scan(), None);
    world.wait(1);
    assert_eq!(world.reason().as_deref(), Some("interval"));
    world.wait(599);
    assert_eq!(world.scan(), None);
    // A shorter interval holds at once, a longer one from the next scan on.
    for seconds in [100, 1000] {
        let rescan_interval = Some(Duration::from_secs(seconds));
        world.take(Event::Settings(Settings { rescan_interval, ..settings(&["/a"]) }));
    }
    world.wait(1);
    assert_eq!(world.reason().as_deref(), Some("interval"));
    world.take(Event::Settings(settings(&["/a"])));
    world.wait(10_000);
    assert_eq!(world.scan(), None, "no interval any more");
}

#[test]
fn changes_are_gathered_for_two_seconds() {
    let mut world = World::at_rest(watched(&["/a"]));
    world.watch(1, WatchEvent::Changed(vec!["/a/b/c".into(), "/a/d".into()]));
    world.wait(1);
    world.watch(1, WatchEvent::Changed(vec!["/a/b".into()]));
    assert_eq!(world.scan(), None);
    world.wait(1);
    let scan = world.scan().expect("a scan");
    assert_eq!(scan.reason, "watch");
    assert_eq!(scan.targets, [Path::new("/a/b"), Path::new("/a/d")], "none below another");
    world.end(&scan, Report { summary: Summary::default(), ..completed() });
    world.watch(2, WatchEvent::Changed(vec!["/a".into()]));
    world.wait(5);
    assert_eq!(world.scan(), None, "no watch has this number");
}

#[test]
fn many_changes_are_a_scan_of_the_whole_root() {
    let mut world = World::at_rest(watched(&["/a"]));
    let paths = |count| (0..count).map(|number| format!("/a/{number}").into()).collect();
    for (count, targets) in [(1000, 1000), (1001, 1)] {
        world.watch(1, WatchEvent::Changed(paths(count)));
        world.wait(2);
        let scan = world.scan().expect("a scan");
        assert_eq!((scan.reason.as_str(), scan.targets.len()), ("watch", targets));
        world.end(&scan, completed());
    }
}

#[test]
fn overflows_start_one_scan_a_minute() {
    let mut world = World::at_rest(watched(&["/a"]));
    world.watch(1, WatchEvent::Overflow);
    assert_eq!(world.scan(), None);
    world.wait(2);
    assert_eq!(world.reason().as_deref(), Some("watch"));
    for _ in 0..3 {
        world.watch(1, WatchEvent::Overflow);
        world.wait(19);
        assert_eq!(world.scan(), None, "within 60 s of the first overflow");
    }
    world.wait(3);
    assert_eq!(world.reason().as_deref(), Some("watch"));
    world.wait(600);
    world.watch(1, WatchEvent::Overflow);
    world.wait(2);
    assert_eq!(world.reason().as_deref(), Some("watch"), "the minute is long over");
}

#[test]
fn files_being_written_are_scanned_again() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    world.end(&scan, Report { unsettled: vec!["/a/new".into()], ..completed() });
    world.wait(4);
    assert_eq!(world.scan(), None);
    world.wait(1);
    assert_eq!(world.scan().expect("a scan").targets, [Path::new("/a/new")]);
}

#[test]
fn other_extensions_start_a_scan_and_a_watch() {
    let mut world = World::at_rest(watched(&["/a"]));
    let extensions = vec!["mkv".to_owned(), "mp4".to_owned()];
    let actions = world.take(Event::Settings(Settings { extensions, ..watched(&["/a"]) }));
    let is_started = |action: &Action| matches!(action, Action::StartWatch { attempt: 2, extensions, .. } if extensions.len() == 2);
    assert!(actions.iter().any(is_started), "{actions:?}");
    let scan = world.scan().expect("a scan");
    assert_eq!((scan.reason.as_str(), scan.scope.extensions.len()), ("settings", 2));
}

#[test]
fn same_settings_change_nothing() {
    let mut world = World::at_rest(watched(&["/a"]));
    assert!(world.take(Event::Settings(watched(&["/a"]))).is_empty());
    assert_eq!(world.scan(), None);
}

#[test]
fn cancelled_scan_is_made_again_after_a_second() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    world.end(&scan, failed(Error::Cancelled));
    assert_eq!(world.scan(), None);
    world.wait(1);
    assert_eq!(world.reason().as_deref(), Some("again"));
    let counts = world.schedule.state().counts;
    assert_eq!((counts.completed, counts.cancelled, counts.failed), (1, 1, 0));
}

#[test]
fn failure_of_the_library_pauses_for_15_seconds() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    world.end(&scan, failed(Error::Library(busy())));
    assert_eq!(world.problem(), Some("library"));
    assert_eq!(world.root_problem("/a"), None);
    world.assert_scanned_again_after_15_seconds();
}

#[test]
fn another_database_begins_anew() {
    let mut world = World::at_rest(settings(&["/a", "/b"]));
    world.take(Event::Requests(vec![queued("one", "/a")]));
    let scan = world.scan().expect("the request");
    world.generation = 2;
    let actions = world.tick();
    assert_eq!(cancelled(&actions), [scan.id]);
    assert!(actions.iter().any(|action| matches!(action, Action::CloseAbandoned)), "{actions:?}");
    world.end(&scan, failed(Error::Library(library::Error::Replaced("library.db".into()))));
    world.wait(5);
    assert_eq!(world.scan(), None, "rows of the other database may still be called running");
    world.take(Event::AbandonedClosed(Ok(1)));
    for root in ["/a", "/b"] {
        let scan = world.scan().expect("a scan");
        assert_eq!((scan.root.as_path(), scan.reason.as_str()), (Path::new(root), "library_replaced"));
        world.end(&scan, completed());
    }
    assert!(!world.tick().iter().any(|action| matches!(action, Action::CloseAbandoned)));
}

#[test]
fn without_random_numbers_a_scan_is_put_off() {
    let mut world = World::with(settings(&["/a"]));
    let no_id = || Err(Error::Random(std::io::ErrorKind::PermissionDenied.into()));
    assert!(scans(world.schedule.dispatch(world.now, &no_id)).is_empty());
    world.wait(9);
    assert_eq!(world.scan(), None);
    world.wait(1);
    assert_eq!(world.reason().as_deref(), Some("start"));
}

#[test]
fn wakeup_is_at_the_next_due_scan() {
    let mut world = World::at_rest(watched(&["/a"]));
    assert_eq!(world.schedule.next_wakeup(world.now), SCAN_ENGINE_POLL_INTERVAL);
    world.watch(1, WatchEvent::Changed(vec!["/a/b".into()]));
    assert_eq!(world.schedule.next_wakeup(world.now), SCAN_ENGINE_POLL_INTERVAL);
    let almost = world.now + Duration::from_millis(1900);
    assert_eq!(world.schedule.next_wakeup(almost), Duration::from_millis(100));
    world.wait(2);
    assert_eq!(world.schedule.next_wakeup(world.now), SCAN_ENGINE_MIN_INTERVAL);
    world.scan().expect("a scan");
    world.watch(1, WatchEvent::Started);
    assert_eq!(
        world.schedule.next_wakeup(world.now),
        SCAN_ENGINE_POLL_INTERVAL,
        "the end of the scan is an event"
    );
}
