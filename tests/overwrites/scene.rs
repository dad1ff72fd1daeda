//! The films and databases that all runs share. None of them is changed by a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::cell::Situation;
use super::content::{Content, fill, tag};
use crate::harness::{Daemon, Sandbox, eventually, settled, video};
use crate::model::Rng;

/// Roots: each has a scan of its own, with a handful of write transactions.
pub(super) const ROOTS: usize = 6;

/// Films below each root.
const FILMS: usize = 50;

/// A time after every job.
const FOREVER: &str = "9";

/// A database and what is in it.
pub(super) struct Database {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) content: Content,
}

/// See the module.
pub(super) struct Scene {
    sandbox: Sandbox,
    roots: Vec<PathBuf>,
    /// Size of each film, by its path.
    pub(super) tree: BTreeMap<String, i64>,
    idle: Option<Database>,
    scan: Option<Database>,
    /// Older, of the same size, newer, another library.
    pub(super) backups: Vec<Database>,
}

impl Scene {
    /// Makes them: a daemon scans a library that another program fills between its runs.
    pub(super) fn new() -> Self {
        let sandbox = Sandbox::new();
        let mut rng = Rng::new(1);
        let roots: Vec<_> = (0..ROOTS).map(|root| sandbox.path(format!("films/{root}"))).collect();
        let mut tree = BTreeMap::new();
        for root in 0..ROOTS {
            for film in 0..FILMS {
                let name = format!("films/{root}/{film:02}.mkv");
                let path = sandbox.write(&name, video::matroska(&name, &["eng", "ger"]));
                settled(&path);
                let size = i64::try_from(fs::metadata(&path).expect("there").len()).expect("small");
                tree.insert(path.to_str().expect("UTF-8").to_owned(), size);
            }
        }
        let mut scene = Self { sandbox, roots, tree, idle: None, scan: None, backups: Vec::new() };
        let films: Vec<String> = scene.tree.keys().cloned().collect();

        let connection = scene.create("another");
        fill(&connection, 900, &films, &mut rng);
        drop(connection);
        scene.keep("another", "other", "tag-other", "");

        let connection = scene.create("live");
        // Free pages for the rows that the daemon adds, so that its library keeps its size.
        fill(&connection, 700, &films, &mut rng);
        connection
            .execute_batch("CREATE TABLE spare AS SELECT * FROM policies LIMIT 300; DROP TABLE spare;")
            .expect("made");
        drop(connection);
        scene.run_daemon("hashed files");
        scene.keep("live", "older", "tag-older", "");
        fill(&scene.open("live"), 500, &[], &mut rng);
        scene.run_daemon("scan completed");
        scene.keep("live", "same", "tag-same-", "");
        scene.run_daemon("scan completed");
        scene.keep("live", "idle", "tag-own--", "");
        // All films look changed, so the scans write a lot.
        let changed = "UPDATE files SET modified_at = '2020-01-01T00:00:00.000000+00:00', content_hash = NULL
             WHERE path NOT LIKE '/elsewhere/%'";
        scene.keep("live", "scan", "tag-own--", changed);
        fill(&scene.open("live"), 300, &[], &mut rng);
        scene.run_daemon("scan completed");
        scene.keep("live", "newer", "tag-newer", "");
        let take = |scene: &mut Self, name| {
            let at = scene.backups.iter().position(|database| database.name == name).expect("kept");
            Some(scene.backups.remove(at))
        };
        scene.idle = take(&mut scene, "idle");
        scene.scan = take(&mut scene, "scan");
        let length = |path: &Path| fs::metadata(path).expect("there").len();
        let sizes: Vec<_> =
            scene.backups.iter().map(|database| (database.name, length(&database.path))).collect();
        let live = length(&scene.live(Situation::Idle).path);
        println!("sizes: {sizes:?}, the live one {live}");
        scene
    }

    /// The database that the daemon has at the beginning of a run.
    pub(super) fn live(&self, situation: Situation) -> &Database {
        let database = if situation == Situation::Idle { &self.idle } else { &self.scan };
        database.as_ref().expect("made")
    }

    /// `vpo serve` of a database `library.db` with all roots.
    pub(super) fn serve(&self, database: &Path) -> Daemon {
        let mut command = self.sandbox.vpo(["serve", "--port", "0", "--log-level", "debug", "--database"]);
        command.arg(database);
        for root in &self.roots {
            command.arg("--library").arg(root);
        }
        Daemon::spawn(command, database)
    }

    fn path_of(&self, directory: &str) -> PathBuf {
        self.sandbox.path(directory).join("library.db")
    }

    fn create(&self, directory: &str) -> Connection {
        fs::create_dir_all(self.sandbox.path(directory)).expect("a directory");
        let connection = Connection::open(self.path_of(directory)).expect("made");
        connection.execute_batch(vpo::library::schema::SQL).expect("valid");
        connection
    }

    fn open(&self, directory: &str) -> Connection {
        Connection::open(self.path_of(directory)).expect("opens")
    }

    /// A daemon scans the library, and ends once it has logged `last` too.
    fn run_daemon(&self, last: &str) {
        let mut daemon = self.serve(&self.path_of("live"));
        eventually("all roots are scanned", || (scanned(&daemon.log()) == ROOTS).then_some(()));
        daemon.wait_log(last);
        assert!(daemon.stop().success());
    }

    /// Keeps a copy of a library as `name`, with that tag and after `sql`.
    fn keep(&mut self, directory: &str, name: &'static str, with_tag: &str, sql: &str) {
        let path = self.sandbox.path(format!("{name}.db"));
        fs::copy(self.path_of(directory), &path).expect("copied");
        let connection = Connection::open(&path).expect("opens");
        tag(&connection, with_tag);
        connection.execute_batch(sql).expect("valid");
        let content = Content::read(&connection, FOREVER).expect("sound");
        connection.close().expect("closed");
        self.backups.push(Database { name, path, content });
    }
}

/// Roots that were scanned to the end, by a log.
pub(super) fn scanned(log: &str) -> usize {
    let roots = log
        .lines()
        .filter(|line| line.contains("scan completed"))
        .filter_map(|line| line.split(" root=").nth(1)?.split(' ').next());
    roots.collect::<BTreeSet<_>>().len()
}
