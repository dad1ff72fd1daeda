//! Counts, old rows, and passes of hashes.

use super::*;

/// The age of rows that the count that starts now deletes, or [`NOTHING`]; `None` without a count.
fn count(world: &mut World) -> Option<Duration> {
    world.dispatch_and_hash().into_iter().find_map(|action| match action {
        Action::Count { expire, .. } => Some(expire.and_then(|retention| retention.jobs).unwrap_or(NOTHING)),
        _ => None,
    })
}

fn counted(world: &mut World, took: u64, expired: Option<Result<usize, library::Error>>) {
    world.take(Event::Counted { counted: Ok(Arc::default()), took: Duration::from_secs(took), expired });
}

/// A request is scanned.
fn scan(world: &mut World) {
    world.take(Event::Requests(vec![queued("one", "/a")]));
    world.reason().expect("the request");
}

const NOTHING: Duration = Duration::ZERO;

const DAY: u64 = 24 * 3600;

#[test]
fn files_are_counted_after_a_scan_with_pauses() {
    let mut world = World::with(settings(&["/a"]));
    assert_eq!(count(&mut world), Some(NOTHING), "at the start");
    let mut world = World::at_rest(settings(&["/a"]));
    counted(&mut world, 3, None);
    assert!(world.schedule.state().counted.is_some());
    assert_eq!(count(&mut world), None, "no scan since");
    scan(&mut world);
    world.wait(29);
    assert_eq!(count(&mut world), None, "ten times as long as the count took");
    world.wait(1);
    assert_eq!(count(&mut world), Some(NOTHING));
    assert_eq!(count(&mut world), None, "it runs");
}

#[test]
fn count_that_failed_is_made_again() {
    let mut world = World::at_rest(settings(&["/a"]));
    let fail = |world: &mut World, error| {
        world.take(Event::Counted { counted: Err(error), took: Duration::ZERO, expired: None });
    };
    fail(&mut world, Error::Library(busy()));
    assert_eq!(world.problem(), None);
    world.wait(14);
    assert_eq!(count(&mut world), None);
    world.wait(1);
    assert_eq!(count(&mut world), Some(NOTHING));
    fail(&mut world, Error::Threads(std::io::ErrorKind::WouldBlock.into()));
    assert_eq!(world.problem(), Some("threads"));
}

#[test]
fn old_rows_are_deleted_once_a_day_and_when_the_age_changes() {
    let month = Some(Duration::from_secs(30 * DAY));
    let with = |jobs| Settings { retention: Retention { jobs, changes: None }, ..settings(&["/a"]) };
    let mut world = World::at_rest(with(month));
    counted(&mut world, 0, Some(Err(busy())));
    scan(&mut world);
    assert_eq!(count(&mut world), month, "they were not deleted");
    counted(&mut world, 0, Some(Ok(5)));
    world.wait(DAY - 1);
    scan(&mut world);
    assert_eq!(count(&mut world), Some(NOTHING));
    counted(&mut world, 0, None);
    world.wait(1);
    scan(&mut world);
    assert_eq!(count(&mut world), month);
    counted(&mut world, 0, Some(Ok(0)));
    let week = Some(Duration::from_secs(7 * DAY));
    world.take(Event::Settings(with(week)));
    scan(&mut world);
    assert_eq!(count(&mut world), week);
}

#[test]
fn hashing_gives_way_to_a_scan() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    world.end(&scan, completed());
    let id = hash_pass(&world.dispatch()).expect("a pass of hashes");
    world.take(Event::Requests(vec![queued("one", "/a")]));
    let actions = world.dispatch();
    assert_eq!((cancelled(&actions), scans(actions)), (vec![id], vec![]));
    world.take(Event::Hashed { id, outcome: Err(Error::Cancelled) });
    assert_eq!(world.reason().as_deref(), Some("request"));
    assert!(hash_pass(&world.dispatch()).is_some(), "it is made again");
}

#[test]
fn stuck_hashing_delays_no_scan() {
    let mut world = World::with(settings(&["/a"]));
    let scan = world.scan().expect("a scan");
    world.end(&scan, completed());
    let id = hash_pass(&world.dispatch()).expect("a pass of hashes");
    world.wait(31);
    world.tick();
    world.take(Event::Requests(vec![queued("one", "/a")]));
    let actions = world.dispatch();
    assert!(cancelled(&actions).is_empty());
    let scan = scans(actions).pop().expect("the request");
    world.end(&scan, completed());
    assert_eq!(hash_pass(&world.dispatch()), None, "one still runs");
    world.take(Event::Hashed { id, outcome: Ok(Hashed::default()) });
    assert!(hash_pass(&world.dispatch()).is_some(), "it is made again");
}

#[test]
fn hashing_that_failed_is_made_again_after_15_seconds() {
    let mut world = World::with(settings(&["/a"]));
    world.reason().expect("the first scan");
    let id = hash_pass(&world.dispatch()).expect("a pass of hashes");
    world.take(Event::Hashed { id, outcome: Err(Error::Library(busy())) });
    assert_eq!(world.problem(), Some("library"));
    world.wait(14);
    assert_eq!(hash_pass(&world.dispatch()), None);
    world.wait(1);
    let id = hash_pass(&world.dispatch()).expect("a pass of hashes");
    let outcome = Ok(Hashed { files: 1, seconds: 0.1, reread: 0 });
    world.take(Event::Hashed { id, outcome });
    assert_eq!((world.problem(), world.schedule.state().counts.files_hashed), (None, 1));
}
