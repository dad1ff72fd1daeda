//! The health module by itself, with checks that do what no disk does on command.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use vpo::daemon::health::{Check, CheckResult, Disclosure, Health, Identity, Phase, Report, Status};

use crate::harness::{eventually, in_time};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A check that calls a closure.
struct Calls<F>(&'static str, F);

impl<F: FnMut() -> CheckResult + Send + 'static> Check for Calls<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn is_critical(&self) -> bool {
        !self.0.starts_with("warns")
    }

    fn run(&mut self) -> CheckResult {
        self.1()
    }
}

fn running(runtime: &Runtime, check: impl FnMut() -> CheckResult + Send + 'static) -> Health {
    let _guard = runtime.enter();
    let health = Health::new(Identity { version: "1.2.3", schema_version: 7 });
    health.register(Calls("database", check)).expect("a thread");
    health.set_phase(Phase::Running);
    health
}

/// As [`running`], once the first check has come back: on a busy machine that may be late.
fn settled(runtime: &Runtime, check: impl FnMut() -> CheckResult + Send + 'static) -> Health {
    let health = running(runtime, check);
    eventually("the first check", || runtime.block_on(health.report()).ok().then_some(()));
    health
}

fn reason(report: &Report) -> Option<&'static str> {
    report.check("database").expect("a result").reason
}

#[test]
fn the_phase_decides_before_the_database_does() {
    let runtime = runtime();
    let health = settled(&runtime, CheckResult::pass);
    for (phase, status, ok) in [
        (Phase::Starting, "unhealthy", false),
        (Phase::Running, "healthy", true),
        (Phase::Stopping, "unhealthy", false),
    ] {
        health.set_phase(phase);
        let report = runtime.block_on(health.report());
        assert_eq!((report.status(), report.ok()), (status, ok));
        let json: serde_json::Value =
            serde_json::from_slice(&report.to_json(Disclosure::Everything)).expect("JSON");
        assert_eq!(json["phase"], phase.as_str());
        assert_eq!(json["shutting_down"], phase == Phase::Stopping);
        assert_eq!(json["database"], "connected");
    }
}

#[test]
fn checks_that_are_not_critical_fail_nothing() {
    let runtime = runtime();
    let health = settled(&runtime, || CheckResult::warn("read_only", "on a read-only mount"));
    health.set("root:/srv", CheckResult::fail("offline", "gone"));
    let report = runtime.block_on(health.report());
    assert!(report.ok());
    let json: serde_json::Value =
        serde_json::from_slice(&report.to_json(Disclosure::Everything)).expect("JSON");
    assert_eq!(json["checks"][0]["status"], "warn");
    assert_eq!(json["checks"][1]["name"], "root:/srv");
    assert_eq!(json["checks"][1]["detail"], "gone");
    health.remove("root:/srv");
    assert_eq!(runtime.block_on(health.report()).checks.len(), 1);
}

#[test]
fn each_critical_check_can_fail_the_whole() {
    let runtime = runtime();
    let health = settled(&runtime, CheckResult::pass);
    let is_sound = Arc::new(AtomicUsize::new(0));
    let sound = Arc::clone(&is_sound);
    {
        let _guard = runtime.enter();
        let critical = Calls("clock", move || match sound.load(Ordering::SeqCst) {
            0 => CheckResult::fail("unset", "the clock is not set"),
            _ => CheckResult::pass(),
        });
        health.register(critical).expect("a thread");
        health.register(Calls("warns", || CheckResult::fail("gone", "not critical"))).expect("a thread");
    }
    eventually("both new checks have a result", || {
        let report = runtime.block_on(health.report());
        assert!(!report.ok(), "a critical check that has no result, or fails, is 503");
        let json: serde_json::Value =
            serde_json::from_slice(&report.to_json(Disclosure::Everything)).expect("JSON");
        assert_eq!(json["status"], "degraded");
        let found = ["clock", "warns"].map(|name| report.check(name).and_then(|result| result.reason));
        (json["database"] == "connected" && found == [Some("unset"), Some("gone")]).then_some(())
    });
    is_sound.store(1, Ordering::SeqCst);
    eventually("healthy again", || runtime.block_on(health.report()).ok().then_some(()));
}

#[test]
fn several_slow_checks_delay_a_probe_no_longer_than_one() {
    in_time(|| {
        let runtime = runtime();
        let health = running(&runtime, || {
            std::thread::sleep(Duration::from_secs(1));
            CheckResult::pass()
        });
        {
            let _guard = runtime.enter();
            for name in ["warns 1", "warns 2", "warns 3"] {
                let slow = Calls(name, || {
                    std::thread::sleep(Duration::from_secs(1));
                    CheckResult::pass()
                });
                health.register(slow).expect("a thread");
            }
        }
        let begun = Instant::now();
        runtime.block_on(health.report());
        let took = begun.elapsed();
        if took < Duration::from_millis(100) { Ok(()) } else { Err(format!("{took:?}")) }
    });
}

#[test]
fn waiting_probes_share_one_check() {
    let runtime = runtime();
    let (running_now, most, count) =
        (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (most_seen, counted) = (Arc::clone(&most), Arc::clone(&count));
    let health = settled(&runtime, move || {
        most_seen.fetch_max(running_now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        running_now.fetch_sub(1, Ordering::SeqCst);
        counted.fetch_add(1, Ordering::SeqCst);
        CheckResult::pass()
    });
    let begun = Instant::now();
    runtime.block_on(async {
        while begun.elapsed() < Duration::from_millis(600) {
            let probes: Vec<_> = (0..100).map(|_| health.report()).collect();
            for report in futures(probes).await {
                assert!(report.ok());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
    // One at first, then one for each 250 ms, and the daemon's own.
    let limit = 3 + usize::try_from(begun.elapsed().as_millis() / 250).expect("few") * 2;
    assert!(count.load(Ordering::SeqCst) <= limit, "{count:?} checks in {:?}", begun.elapsed());
}

/// Waits for all, all at once.
async fn futures<F: Future<Output = Report> + Send>(futures: Vec<F>) -> Vec<Report> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in &mut futures {
            if done.is_none()
                && let std::task::Poll::Ready(report) = future.as_mut().poll(cx)
            {
                *done = Some(report);
            }
        }
        if futures.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(futures.iter_mut().filter_map(|(_, done)| done.take()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[test]
fn a_stuck_check_delays_no_probe_and_comes_back_by_itself() {
    let runtime = runtime();
    // Each check takes one permission to return.
    let (permit, permits) = mpsc::channel();
    let health = running(&runtime, move || {
        permits.recv().expect("permission");
        CheckResult::pass()
    });
    let begun = Instant::now();
    permit.send(()).expect("taken");
    eventually("the first check", || runtime.block_on(health.report()).ok().then_some(()));
    let stuck_from = Instant::now();
    eventually("the stuck check is told", || {
        let report = in_time(|| {
            let begun = Instant::now();
            let report = runtime.block_on(health.report());
            let took = begun.elapsed();
            if took < Duration::from_millis(100) { Ok(report) } else { Err(format!("{took:?}")) }
        });
        if !report.ok() {
            assert_eq!(reason(&report), Some("timeout"));
            return Some(());
        }
        assert!(stuck_from.elapsed() < Duration::from_millis(1500), "a verdict stands in for 1 s only");
        None
    });
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // That it is stuck is a verdict: no reason for the watchdog to bite.
    assert!(health.is_alive());
    for _ in 0..100 {
        permit.send(()).expect("taken");
    }
    eventually("healthy again", || runtime.block_on(health.report()).ok().then_some(()));
}

#[test]
fn a_busy_library_is_a_fault_only_after_a_second() {
    let runtime = runtime();
    let verdict = Arc::new(Mutex::new(CheckResult::pass()));
    let passed = Arc::new(Mutex::new(Instant::now()));
    let (given, noted) = (Arc::clone(&verdict), Arc::clone(&passed));
    let health = settled(&runtime, move || {
        let verdict = given.lock().expect("not poisoned").clone();
        if verdict.status == Status::Pass {
            *noted.lock().expect("not poisoned") = Instant::now();
        }
        verdict
    });
    *verdict.lock().expect("not poisoned") = CheckResult::busy("locked", "someone is at work");
    let busy_from = Instant::now();
    eventually("locked", || {
        let report = runtime.block_on(health.report());
        if report.ok() {
            assert!(busy_from.elapsed() < Duration::from_millis(1500));
            return None;
        }
        assert_eq!(reason(&report), Some("locked"));
        Some(())
    });
    assert!(passed.lock().expect("not poisoned").elapsed() >= Duration::from_secs(1));
    *verdict.lock().expect("not poisoned") = CheckResult::pass();
    eventually("healthy again", || runtime.block_on(health.report()).ok().then_some(()));
}

#[test]
fn a_library_that_is_free_now_and_then_is_no_fault() {
    in_time(|| {
        let runtime = runtime();
        let mut looks = 0;
        // As beside a program that commits continuously: one check in ten succeeds.
        let health = settled(&runtime, move || {
            looks += 1;
            if looks % 10 == 1 {
                CheckResult::pass()
            } else {
                CheckResult::busy("locked", "someone is at work")
            }
        });
        runtime.block_on(async {
            // With probes, and without: the daemon's own looks must not call it a fault either.
            for probes in [true, false] {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(2500) {
                    if probes {
                        health.report().await;
                    }
                    let status = health.check("database").expect("a result").status;
                    if status != Status::Pass {
                        return Err(format!("{status:?} after {:?}, probes: {probes}", begun.elapsed()));
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Ok(())
        })
    });
}

#[test]
fn a_check_that_panics_is_a_verdict_too() {
    let runtime = runtime();
    let sound = Arc::new(AtomicUsize::new(0));
    let is_sound = Arc::clone(&sound);
    let health = running(&runtime, move || {
        assert!(is_sound.load(Ordering::SeqCst) > 0, "on purpose");
        CheckResult::pass()
    });
    eventually("the panic is told", || {
        let report = runtime.block_on(health.report());
        assert_eq!(report.status(), "degraded");
        // On a busy machine the first check may also be late.
        (reason(&report) == Some("io_error")).then_some(())
    });
    sound.store(1, Ordering::SeqCst);
    eventually("healthy again", || runtime.block_on(health.report()).ok().then_some(()));
}

#[test]
fn no_check_begins_once_watching_has_stopped() {
    let runtime = runtime();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let health = settled(&runtime, move || {
        counted.fetch_add(1, Ordering::SeqCst);
        CheckResult::pass()
    });
    let report = runtime.block_on(health.report());
    assert_eq!(report.check("database").expect("a result").status, Status::Pass);
    runtime.block_on(health.stop_checks());
    let before = count.load(Ordering::SeqCst);
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(600)).await });
    assert!(runtime.block_on(health.report()).connected(), "what was last known stays");
    assert_eq!(count.load(Ordering::SeqCst), before);
}

#[test]
fn a_stop_while_the_check_is_stuck_tells_nothing_new() {
    let runtime = runtime();
    let (permit, permits) = mpsc::channel();
    let health = running(&runtime, move || {
        // Ends with the test, which drops the other side.
        let _ = permits.recv();
        CheckResult::pass()
    });
    permit.send(()).expect("taken");
    eventually("the first check", || runtime.block_on(health.report()).ok().then_some(()));
    eventually("the stuck check is told", || {
        (reason(&runtime.block_on(health.report())) == Some("timeout")).then_some(())
    });
    runtime.block_on(health.stop_checks());
    let report = runtime.block_on(health.report());
    assert_eq!(reason(&report), Some("timeout"), "nobody has looked since");
    let last = health.check("database").expect("a result");
    assert_eq!(last.reason, Some("timeout"));
}
