use std::convert::Infallible;

use super::*;
use crate::scan::root::{self, Identity, Look};

/// When files and rows were last modified.
const THEN: i64 = 1_000_000;

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds, 0)
}

fn look(filesystem: &str, mount_point: bool, empty: bool) -> Look {
    let identity = Identity { filesystem: filesystem.to_owned(), mount_point };
    Look { identity, empty, directory: None }
}

/// A root on a mounted disk that is what it was.
fn baseline() -> Baseline {
    let look = look("ext4", true, false);
    Baseline {
        before: Some(look.identity.clone()),
        look,
        mounts: Vec::new(),
        accept_missing: false,
        full: false,
    }
}

fn row(path: &str, status: Status) -> Known {
    let id = i64::try_from(path.len()).expect("short") * 1000 + i64::from(path.as_bytes()[path.len() - 1]);
    let path = path.to_owned();
    let (modified, subtitles, probed) = (Some(time(THEN)), String::new(), Probed::By(PROBER_VERSION));
    Known { id, path, size: 7, modified, status, unreadable: false, hash: None, subtitles, probed }
}

fn rows(paths: &[&str]) -> Vec<Known> {
    paths.iter().map(|path| row(path, Status::Ok)).collect()
}

/// What the walk and the disk say.
#[derive(Default)]
struct Disk<'a> {
    /// Path, size and mtime, in order.
    entries: &'a [(&'a str, u64, i64)],
    /// There, but passed over by the walk.
    ignored: &'a [&'a str],
    /// Nothing can be learned of these.
    unreadable: &'a [&'a str],
    mounts: &'a [&'a str],
    /// Other roots.
    except: &'a [&'a str],
    resume: Option<&'a str>,
}

fn plan(baseline: &Baseline, disk: &Disk<'_>, rows: Vec<Known>) -> Plan {
    let is_gone = |path: &str| {
        if disk.unreadable.contains(&path) { Err(Errno::ACCESS) } else { Ok(!disk.ignored.contains(&path)) }
    };
    let except = disk.except.iter().map(|root| Span::below(root)).collect();
    let mut planner = Planner::new(baseline, except, disk.resume, &is_gone);
    let mut rows = rows.into_iter().map(Ok::<_, Infallible>).peekable();
    for (path, size, modified) in disk.entries {
        let found =
            Found { path, raw: path.as_bytes(), size: *size, modified: time(*modified), subtitles: Some("") };
        let Ok(()) = planner.entry(&found, &mut rows);
    }
    let mounts = disk.mounts.iter().map(|&mount| mount.to_owned()).collect();
    let Ok(()) = planner.end(Walked { mounts, ..Walked::default() }, rows);
    planner.finish()
}

/// Of each change, its path and whether it is new.
fn changes(plan: &Plan) -> Vec<(&str, bool)> {
    let of = |change: &Change| (plan.path(change).to_str().expect("UTF-8"), change.is_new);
    plan.changes.iter().map(of).collect()
}

fn missing(plan: &Plan) -> Vec<i64> {
    plan.missing.iter().map(|row| row.id).collect()
}

/// `gone` of `count` files are gone.
fn decimated(baseline: &Baseline, gone: usize, count: usize) -> Plan {
    let paths: Vec<_> = (0..count).map(|number| format!("/r/{number:04}")).collect();
    let entries: Vec<_> = paths[gone..].iter().map(|path| (path.as_str(), 7, THEN)).collect();
    let rows = paths.iter().map(|path| row(path, Status::Ok)).collect();
    plan(baseline, &Disk { entries: &entries, ..Disk::default() }, rows)
}

#[test]
fn files_and_rows_are_matched_by_path() {
    let entries = [("/r/a", 7, THEN), ("/r/c", 7, THEN), ("/r/e", 7, THEN)];
    let found =
        plan(&baseline(), &Disk { entries: &entries, ..Disk::default() }, rows(&["/r/b", "/r/c", "/r/f"]));
    assert_eq!(changes(&found), [("/r/a", true), ("/r/e", true)]);
    assert_eq!(missing(&found), [row("/r/b", Status::Ok).id, row("/r/f", Status::Ok).id]);
    assert_eq!((found.found, found.unchanged, found.to_read, found.known), (3, 1, 2, 3));
    assert!(!found.is_idle() && found.refusal.is_none());
    let same = plan(&baseline(), &Disk { entries: &entries[..1], ..Disk::default() }, rows(&["/r/a"]));
    assert!(same.is_idle());
}

#[test]
fn file_is_read_again_unless_its_row_says_the_same() {
    let found = |size, modified, row: Known| {
        let entries = [("/r/a", size, modified)];
        let found = plan(&baseline(), &Disk { entries: &entries, ..Disk::default() }, vec![row]);
        assert_eq!(found.to_read + found.unchanged, 1);
        found.to_read == 1
    };
    let ok = || row("/r/a", Status::Ok);
    assert!(!found(7, THEN, ok()), "the same");
    assert!(found(8, THEN, ok()), "another size");
    assert!(found(7, THEN + 1, ok()), "another mtime");
    assert!(found(7, THEN, Known { modified: None, ..ok() }), "no time in the row");
    let rounded = Timestamp::from_unix(THEN, 400_000);
    assert!(!found(7, THEN, Known { modified: Some(rounded), ..ok() }), "rounded to milliseconds");
    assert!(!found(7, THEN, row("/r/a", Status::Foreign)), "another program's");
    assert!(!found(7, THEN, row("/r/a", Status::Error)), "cannot be parsed");
    let unreadable = Known { unreadable: true, ..row("/r/a", Status::Error) };
    assert!(found(7, THEN, unreadable), "could not be read the last time");
    assert!(found(7, THEN, row("/r/a", Status::Missing)), "back");
    assert!(found(7, THEN, row("/r/a", Status::Pending)), "not read yet");
    let stale = |status| Known { probed: Probed::Stale, ..row("/r/a", status) };
    assert!(found(7, THEN, stale(Status::Ok)), "another program has updated the row");
    assert!(!found(7, THEN, stale(Status::Foreign)), "with a word of its own");
    assert!(!found(7, THEN, Known { probed: Probed::Never, ..ok() }), "read in the background");
}

#[test]
fn files_that_an_older_prober_has_read_are_counted_and_a_full_scan_reads_all() {
    let entries =
        [("/r/a", 7, THEN), ("/r/b", 7, THEN), ("/r/c", 7, THEN), ("/r/d", 7, THEN), ("/r/e", 7, THEN)];
    let disk = Disk { entries: &entries, ..Disk::default() };
    let known = |path: &str, status, probed| Known { probed, ..row(path, status) };
    let rows = || {
        vec![
            known("/r/a", Status::Ok, Probed::Never),
            known("/r/b", Status::Error, Probed::By(PROBER_VERSION - 1)),
            known("/r/c", Status::Ok, Probed::By(PROBER_VERSION)),
            known("/r/d", Status::Ok, Probed::By(PROBER_VERSION + 1)),
            known("/r/e", Status::Foreign, Probed::Never),
        ]
    };
    let found = plan(&baseline(), &disk, rows());
    assert_eq!((found.unchanged, found.outdated, found.to_read), (5, 2, 0));
    assert!(found.is_idle());
    let full = Baseline { full: true, ..baseline() };
    let found = plan(&full, &disk, rows());
    assert_eq!((found.unchanged, found.outdated, found.to_read), (1, 0, 4));
}

#[test]
fn only_a_file_that_is_gone_is_missing() {
    let disk = Disk {
        ignored: &["/r/hidden"],
        unreadable: &["/r/denied"],
        except: &["/r/other"],
        ..Disk::default()
    };
    let mut known = rows(&["/r/denied", "/r/gone", "/r/hidden", "/r/other/a"]);
    known.push(row("/r/was-missing", Status::Missing));
    let found = plan(&baseline(), &disk, known);
    assert_eq!(missing(&found), [row("/r/gone", Status::Ok).id]);
    assert_eq!((found.known, found.walked.error_count), (3, 1));
}

#[test]
fn files_still_being_written_are_put_off() {
    let entries = [("/r/a", 7, THEN), ("/r/b", 7, THEN + 100), ("/r/c", 7, THEN + 1000)];
    let mut found = plan(&baseline(), &Disk { entries: &entries, ..Disk::default() }, Vec::new());
    found.put_off(time(THEN + 102));
    assert_eq!(changes(&found), [("/r/a", true), ("/r/c", true)], "a time to come says nothing");
    let unquiet: Vec<_> = found.unquiet.iter().map(|change| found.path(change)).collect();
    assert_eq!(unquiet, [Path::new("/r/b")]);
    assert_eq!((found.to_read, found.all_changes().count()), (2, 3));
}

#[test]
fn changes_that_do_not_fit_are_planned_in_the_next_round() {
    let long = "x".repeat(4000);
    let paths: Vec<_> = (0..ROOM / 4000 + 10).map(|number| format!("/r/{number:08}{long}")).collect();
    let entries: Vec<_> = paths.iter().map(|path| (path.as_str(), 7, THEN)).collect();
    let baseline = baseline();
    let disk = Disk { entries: &entries, ..Disk::default() };
    let first = plan(&baseline, &disk, Vec::new());
    let resume = first.resume.clone().expect("not all fit");
    assert_eq!(first.to_read, paths.len() as u64);
    let second = plan(&baseline, &Disk { resume: Some(&resume), ..disk }, Vec::new());
    let planned = changes(&first).into_iter().chain(changes(&second)).map(|(path, _)| path);
    assert!(planned.eq(paths.iter().map(String::as_str)), "each once");
    assert_eq!(second.resume, None);
}

#[test]
fn too_many_missing_files_are_refused() {
    let refused = |gone, count| decimated(&baseline(), gone, count).refusal.is_some();
    assert!(!refused(9, 9), "all of a small root");
    assert!(refused(10, 33), "more than 30 %");
    assert!(!refused(10, 34), "less than 30 %");
    assert!(!refused(30, 100), "30 % are allowed");
    assert!(refused(31, 100));
    assert!(!refused(0, 0));
    assert_eq!(decimated(&baseline(), 31, 100).refusal, Some(Refusal::MassDeletion));
    let accepted = Baseline { accept_missing: true, ..baseline() };
    let found = decimated(&accepted, 100, 100);
    assert_eq!((found.refusal.as_ref(), found.missing.len()), (None, 100), "confirmed");
}

#[test]
fn too_many_missing_files_are_refused_after_a_walk_with_errors_too() {
    let paths: Vec<_> = (0..20).map(|number| format!("/r/{number:04}")).collect();
    let known = || paths.iter().map(|path| row(path, Status::Ok)).collect();
    let disk = Disk { unreadable: &["/r/0000"], ..Disk::default() };
    let found = plan(&baseline(), &disk, known());
    assert_eq!((found.missing.len(), found.walked.error_count), (19, 1));
    assert_eq!(found.refusal, Some(Refusal::MassDeletion));
}

#[test]
fn place_that_the_walk_could_not_read_excuses_only_its_own_rows() {
    let paths = ["/r/a", "/r/d", "/r/d!/a", "/r/d/a", "/r/d/b/c", "/r/d0", "/r/e", "/r/e/a", "/r/f"];
    let baseline = baseline();
    let known = paths.map(|path| Ok::<_, Infallible>(row(path, Status::Ok)));
    let mut planner = Planner::new(&baseline, Vec::new(), None, &|_| Ok(true));
    let mut rows = known.into_iter().peekable();
    for place in ["/r/d/", "/r/e"] {
        let Ok(()) = planner.unread(place, &mut rows);
    }
    let found = Found { path: "/r/f", raw: b"/r/f", size: 7, modified: time(THEN), subtitles: Some("") };
    let Ok(()) = planner.entry(&found, &mut rows);
    let Ok(()) = planner.end(Walked::default(), rows);
    let found = planner.finish();
    let gone = ["/r/a", "/r/d", "/r/d!/a", "/r/d0", "/r/e/a"].map(|path| row(path, Status::Ok).id);
    assert_eq!((missing(&found), found.known), (gone.to_vec(), paths.len() as u64));
}

#[test]
fn root_that_is_not_what_it_was_is_refused() {
    let one_gone = |baseline: &Baseline| plan(baseline, &Disk::default(), rows(&["/r/a"])).refusal;
    let refused = |now: Look| {
        let baseline = Baseline { look: now, ..baseline() };
        let accepted = Baseline { accept_missing: true, ..baseline.clone() };
        assert_eq!(one_gone(&accepted), None, "confirmed");
        assert_eq!(plan(&baseline, &Disk::default(), Vec::new()).refusal, None, "nothing is gone");
        match one_gone(&baseline) {
            Some(Refusal::Offline(why)) => Some((why.code(), baseline.is_same_root())),
            Some(Refusal::MassDeletion) => panic!("one file"),
            None => None,
        }
    };
    assert_eq!(refused(look("ext4", true, false)), None, "the same");
    assert_eq!(refused(look("ext4", true, true)), Some(("empty", true)));
    assert_eq!(refused(look("ext4", false, false)), Some(("unmounted", false)));
    assert_eq!(refused(look("nfs", true, false)), Some(("filesystem_changed", false)));
    let first = Baseline { before: None, look: look("nfs", false, false), ..baseline() };
    assert_eq!(one_gone(&first), None, "never scanned before");
    assert!(first.is_same_root());
    let gained = Baseline { before: Some(look("ext4", false, false).identity), ..baseline() };
    assert_eq!(one_gone(&gained), None, "a disk was mounted there");
}

#[test]
fn root_is_looked_at_again_after_the_walk() {
    let code = |now| baseline().check_again(&now).err().map(|why| why.code());
    assert_eq!(code(look("ext4", true, false)), None);
    assert_eq!(code(look("ext4", true, true)), Some("empty"));
    assert_eq!(code(look("ext4", false, true)), Some("unmounted"));
    assert_eq!(code(look("nfs", true, false)), Some("filesystem_changed"));
    let empty = Baseline { look: look("ext4", true, true), ..baseline() };
    assert_eq!(empty.check_again(&empty.look), Ok(()), "it was empty before");
    let unreadable = root::look(Path::new("/proc/self/no-such-root")).expect_err("nothing is there");
    assert_eq!(unreadable.code(), "unreadable");
}

#[test]
fn files_of_a_mount_below_the_root_that_is_gone_keep_their_status() {
    let with_mount = Baseline { mounts: vec!["/r/disk".to_owned(), "/r/spare".to_owned()], ..baseline() };
    let known = || rows(&["/r/a", "/r/disk/b", "/r/disk/c"]);
    let found = plan(&with_mount, &Disk::default(), known());
    assert_eq!(missing(&found), [row("/r/a", Status::Ok).id]);
    assert_eq!(found.unmounted, [("/r/disk".to_owned(), 2)], "and the spare one held nothing");
    assert_eq!(found.mounts(&with_mount), ["/r/disk"], "remembered");
    let there = plan(&with_mount, &Disk { mounts: &["/r/disk"], ..Disk::default() }, known());
    assert_eq!((there.missing.len(), there.unmounted.len()), (3, 0), "it has simply lost them");
    let accepted = Baseline { accept_missing: true, ..with_mount.clone() };
    let found = plan(&accepted, &Disk::default(), known());
    assert_eq!((found.missing.len(), found.unmounted.len()), (3, 0), "confirmed");
    assert!(found.mounts(&accepted).is_empty(), "and forgotten");
    let disk = Disk { mounts: &["/r/disk"], unreadable: &["/r/a"], ..Disk::default() };
    let mounts = plan(&with_mount, &disk, known()).mounts(&with_mount);
    assert_eq!(mounts, ["/r/disk", "/r/spare"], "the spare one may not have been reached");
}

#[test]
fn row_moves_with_the_only_file_of_its_content() {
    let row = |id| Move { id, from: format!("/r/{id}") };
    let moves = choose_moves([
        (0, vec![]),
        (1, vec![row(1)]),
        (2, vec![row(2), row(3)]),
        (3, vec![row(1)]),
        (4, vec![row(4)]),
    ]);
    assert_eq!(moves, HashMap::from([(1, row(1)), (4, row(4))]));
}

#[test]
fn path_and_extension_of_a_change_are_those_of_its_row() {
    let baseline = baseline();
    let mut planner = Planner::new(&baseline, Vec::new(), None, &|_| Ok(true));
    let names: [(&str, &[u8], &str); 2] =
        [("/r/a.b/Film.2.MKV", b"/r/a.b/Film.2.MKV", "mkv"), ("/r/%FF.mp4", b"/r/\xFF.mp4", "mp4")];
    for (path, raw, _) in names {
        let found = Found { path, raw, size: 7, modified: time(THEN), subtitles: Some("") };
        let Ok(()) = planner.entry(&found, &mut [].into_iter().map(Ok::<_, Infallible>).peekable());
    }
    let plan = planner.finish();
    for (change, (path, _, extension)) in plan.changes.iter().zip(names) {
        assert_eq!(plan.stored_path(change), (path.to_owned(), extension.to_owned()));
    }
    assert_eq!(plan.changes.len(), names.len());
}
