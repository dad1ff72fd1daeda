//! Roots that are away, that come back, or that have an issue.

use super::*;
use crate::scan::state::WatchState;
use crate::scan::watch::WatchError;

/// The first scan of `/a` ends with `report`; nothing else is due then.
fn after(report: Report) -> World {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    world.end(&scan, report);
    assert_eq!(world.scan(), None);
    world
}

fn recovered(world: &mut World) {
    let look = Ok(look());
    world.take(Event::Looked { root: "/a".into(), look, resolved: None, recovered: true });
}

fn looks(actions: &[Action]) -> Vec<&Path> {
    let mut roots = Vec::new();
    for action in actions {
        if let Action::Look { root, .. } = action {
            roots.push(root.as_path());
        }
    }
    roots
}

#[test]
fn root_that_does_not_answer_is_unresponsive_and_delays_no_other() {
    let mut world = World::new();
    let actions = world.take(Event::Settings(settings(&["/a", "/b"])));
    assert_eq!(looks(&actions), [Path::new("/a"), Path::new("/b")]);
    world.take(Event::AbandonedClosed(Ok(0)));
    world.look("/b", Ok(look()));
    world.wait(10);
    assert_eq!(looks(&world.tick()), [Path::new("/b")], "the look at /a still hangs");
    assert_eq!(world.scan(), None, "/a may be another name of /b");
    world.wait(1);
    world.tick();
    assert_eq!(world.root_problem("/a"), Some("unresponsive"));
    let scan = world.scan().expect("a scan");
    assert_eq!(scan.root, Path::new("/b"));
    assert_eq!(*scan.scope.unreachable, [PathBuf::from("/a")]);
    world.end(&scan, completed());
    assert_eq!(world.scan(), None);
    world.look("/a", Ok(look()));
    assert_eq!(world.root_problem("/a"), None);
    assert_eq!(world.scan().expect("a scan").root, Path::new("/a"));
}

#[test]
fn late_root_is_unreachable_for_scans_of_others() {
    let mut world = World::at_rest(settings(&["/a", "/b"]));
    world.wait(10);
    world.tick();
    world.look("/b", Ok(look()));
    world.take(Event::Requests(vec![queued("one", "/b"), queued("two", "/b/c")]));
    let scan = world.scan().expect("a scan");
    assert!(scan.scope.unreachable.is_empty(), "the look at /a has only begun");
    world.end(&scan, completed());
    world.wait(2);
    assert_eq!(*world.scan().expect("a scan").scope.unreachable, [PathBuf::from("/a")]);
}

#[test]
fn root_that_is_away_is_scanned_when_it_is_back() {
    let mut world = World::at_rest(watched(&["/a"]));
    world.watch(1, WatchEvent::Started);
    assert_eq!(world.reason().as_deref(), Some("watch"));
    let actions = world.look("/a", Err(Offline::Unreadable("gone".to_owned())));
    assert!(matches!(&actions[..], [Action::EndWatch { .. }]), "{actions:?}");
    assert_eq!(world.root_problem("/a"), Some("unreadable"));
    assert_eq!(world.root("/a").watch, WatchState::Unavailable);
    world.watch(1, WatchEvent::Overflow);
    world.wait(100);
    assert_eq!(world.scan(), None);
    let actions = world.look("/a", Ok(look()));
    assert!(matches!(&actions[..], [Action::StartWatch { attempt: 3, .. }]), "{actions:?}");
    assert_eq!((world.root_problem("/a"), world.root("/a").watch), (None, WatchState::Starting));
    assert_eq!(world.reason().as_deref(), Some("root_changed"));
}

#[test]
fn look_that_failed_is_taken_again() {
    let mut world = World::new();
    world.take(Event::Settings(settings(&["/a"])));
    assert!(looks(&world.tick()).is_empty());
    world.take(Event::LookFailed { root: "/a".into() });
    assert_eq!(looks(&world.tick()), [Path::new("/a")]);
    world.look("/a", Ok(look()));
    world.wait(9);
    assert!(looks(&world.tick()).is_empty());
    world.wait(1);
    assert_eq!(looks(&world.tick()), [Path::new("/a")]);
}

#[test]
fn other_directory_in_the_place_of_a_root_is_found_soon() {
    let mut world = World::at_rest(watched(&["/a"]));
    assert!(looks(&world.tick()).is_empty());
    world.watch(1, WatchEvent::Changed(vec!["/a".into()]));
    assert_eq!(looks(&world.tick()), [Path::new("/a")]);
}

#[test]
fn empty_or_unmounted_root_is_offline_until_a_look_shows_otherwise() {
    let empty = Look { empty: true, ..look() };
    let bare = Look { identity: Identity { mount_point: false, ..identity() }, ..look() };
    for (why, code, bad) in [(Offline::Empty, "empty", empty), (Offline::Unmounted, "unmounted", bare)] {
        let mut world = after(offline(why));
        assert_eq!((world.root_problem("/a"), world.problem()), (Some(code), None));
        world.look("/a", Ok(bad.clone()));
        world.look("/a", Ok(bad));
        assert_eq!(world.root_problem("/a"), Some(code));
        world.look("/a", Ok(look()));
        assert_eq!(world.root_problem("/a"), None);
        assert_eq!(world.reason().as_deref(), Some("root_changed"));
    }
}

#[test]
fn other_file_system_is_an_issue_until_a_scan_completes() {
    let why = Offline::Changed { before: "ext4".to_owned(), now: "tmpfs".to_owned() };
    let mut world = after(offline(why));
    assert_eq!(world.root_problem("/a"), Some("filesystem_changed"));
    world.look("/a", Ok(look()));
    assert_eq!(world.root_problem("/a"), Some("filesystem_changed"), "a look does not show that it is over");
    assert_eq!(world.scan(), None);
    world.take(Event::Requests(vec![queued("confirmed", "/a")]));
    assert_eq!(world.reason().as_deref(), Some("request"));
    assert_eq!(world.root_problem("/a"), None);
}

#[test]
fn issues_of_a_completed_scan_are_looked_after_by_their_signals() {
    let walk_errors = Summary { walk_errors: 3, root: Some(identity()), ..Summary::default() };
    let mount_gone = Summary { unmounted: 7, root: Some(identity()), ..Summary::default() };
    for (summary, code) in [(walk_errors, "walk_errors"), (mount_gone, "mount_below_gone")] {
        let signals = vec![RecoverySignal::Mount("/a/mount".into())];
        let report = || Report { summary: summary.clone(), signals: signals.clone(), ..completed() };
        let mut world = after(report());
        assert_eq!(world.root_problem("/a"), Some(code));
        assert!(world.root("/a").last_success.is_some());
        world.wait(10);
        let actions = world.tick();
        let has_signal =
            |action: &Action| matches!(action, Action::Look { signals, .. } if signals.len() == 1);
        assert!(actions.iter().any(has_signal), "{actions:?}");
        world.look("/a", Ok(look()));
        assert_eq!(world.scan(), None);
        recovered(&mut world);
        let scan = world.scan().expect("a scan");
        assert_eq!(scan.reason, "root_changed");
        world.end(&scan, report());
        assert_eq!(world.root_problem("/a"), Some(code));
        recovered(&mut world);
        assert_eq!(world.scan(), None, "the same signals prove nothing");
        world.take(Event::Requests(vec![queued("one", "/a")]));
        world.reason().expect("the request");
        assert_eq!(world.root_problem("/a"), None);
    }
}

#[test]
fn mass_deletion_is_scanned_again_when_files_moved_elsewhere() {
    let mut world = World::at_rest(settings(&["/a", "/b"]));
    world.take(Event::Requests(vec![queued("one", "/a"), queued("two", "/b")]));
    let scan = world.scan().expect("the request");
    let error = Error::MassDeletion { root: "/a".into(), gone: 20, known: 30 };
    let signals = vec![RecoverySignal::Place("/a/film".into())];
    world.end(&scan, Report { signals, ..failed(error) });
    assert_eq!((world.root_problem("/a"), world.problem()), (Some("mass_missing"), None));
    let scan = world.scan().expect("the request");
    let mut report = completed();
    report.summary.moved = 1;
    world.end(&scan, report);
    let scan = world.scan().expect("a scan");
    assert_eq!((scan.root.as_path(), scan.reason.as_str()), (Path::new("/a"), "root_changed"));
    world.end(&scan, completed());
    assert_eq!(world.root_problem("/a"), None);
}

#[test]
fn watch_that_failed_is_started_again_after_a_scan_unless_it_is_remote() {
    for (error, starts) in [(WatchError::Thread, 1), (WatchError::Remote("nfs".to_owned()), 0)] {
        let mut world = World::with(watched(&["/a"]));
        let actions = world.watch(1, WatchEvent::Failed(error));
        assert!(matches!(&actions[..], [Action::EndWatch { .. }]), "{actions:?}");
        assert_eq!(world.root("/a").watch, WatchState::Unavailable);
        let scan = world.scan().expect("a scan");
        let actions = world.end(&scan, completed());
        let count = actions.iter().filter(|action| matches!(action, Action::StartWatch { .. })).count();
        assert_eq!(count, starts, "{actions:?}");
    }
}

#[test]
fn watches_are_renewed_when_other_mounts_are_below() {
    let mut world = World::at_rest(watched(&["/a"]));
    for (mounts, is_renewed) in [(vec![], false), (vec!["/a/b".to_owned()], true)] {
        world.take(Event::Requests(vec![queued("one", "/a")]));
        let scan = world.scan().expect("the request");
        let mut report = completed();
        report.summary.mounts = mounts;
        let actions = world.end(&scan, report);
        let found = actions.iter().any(|action| matches!(action, Action::RenewWatch { .. }));
        assert_eq!(found, is_renewed, "{actions:?}");
    }
}

#[test]
fn root_that_is_removed_is_neither_scanned_nor_watched() {
    let mut world = World::with(settings(&["/a", "/b"]));
    let scan = world.scan().expect("a scan");
    assert_eq!(scan.root, Path::new("/a"));
    let actions = world.take(Event::Settings(settings(&["/b"])));
    assert_eq!(cancelled(&actions), [scan.id]);
    assert!(
        actions.iter().any(|action| matches!(action, Action::EndWatch { root } if root == Path::new("/a")))
    );
    world.end(&scan, failed(Error::Cancelled));
    assert_eq!(world.schedule.state().roots.len(), 1);
    assert_eq!(world.scan().expect("a scan").root, Path::new("/b"));
}

#[test]
fn new_root_keeps_what_an_earlier_daemon_recorded() {
    let mut world = World::new();
    let actions = world.take(Event::Settings(settings(&["/a"])));
    assert!(matches!(&actions[0], Action::ReadLastSuccess(root) if root == Path::new("/a")), "{actions:?}");
    let at = Some(Timestamp::from_unix(7, 0));
    world.take(Event::LastSuccess { root: "/a".into(), at });
    assert_eq!(world.root("/a").last_success, at);
}

#[test]
fn root_that_leads_to_another_is_not_scanned() {
    let dir = tempfile::tempdir().expect("a directory");
    let real = dir.path().canonicalize().expect("there").join("real");
    let link = real.with_file_name("link");
    std::fs::create_dir(&real).expect("a directory");
    std::os::unix::fs::symlink(&real, &link).expect("a link");
    let roots = [real.to_str().expect("UTF-8"), link.to_str().expect("UTF-8")];
    let mut world = World::new();
    world.take(Event::Settings(settings(&roots)));
    world.take(Event::AbandonedClosed(Ok(0)));
    for root in roots {
        let resolved = ResolvedRoot::resolve(Path::new(root));
        assert_eq!(world.scan(), None, "it is not known yet whether two roots lead to one place");
        world.take(Event::Looked { root: root.into(), look: Ok(look()), resolved, recovered: false });
    }
    assert_eq!(world.root_problem(roots[1]), Some("overlapping_root"));
    let scan = world.scan().expect("a scan");
    assert_eq!((&scan.root, &*scan.scope.unreachable), (&real, &[link.clone()][..]));
    world.end(&scan, completed());
    assert_eq!(world.scan(), None);
    world.take(Event::Requests(vec![queued("one", roots[1])]));
    let refused = world.dispatch();
    assert!(matches!(&refused[0], Action::RecordEnd { end: End::Failed(_), .. }), "{refused:?}");
    // Without the other one it is scanned.
    world.take(Event::Settings(settings(&roots[1..])));
    assert_eq!(world.root_problem(roots[1]), None);
    assert_eq!(world.scan().expect("a scan").root, link);
}
