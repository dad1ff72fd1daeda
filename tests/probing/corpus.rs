//! Makes the files, once: a file is made anew when its recipe changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use vpo::media;

/// How a file is made: a shell script that leaves it under its name.
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) script: String,
}

impl Recipe {
    pub(super) fn new(name: impl Into<String>, script: impl Into<String>) -> Self {
        Self { name: name.into(), script: script.into() }
    }
}

/// What the scripts are made of: `$ff` is ffmpeg, `$mm` mkvmerge; the sources are small and deterministic.
const PRELUDE: &str = r#"
set -eu
ff='ffmpeg -v error -nostdin -y -threads 1'
mm='mkvmerge -q'
sub=sub.srt
[ -f $sub ] || printf '1\n00:00:00,100 --> 00:00:01,000\nHello\n\n2\n00:00:01,200 --> 00:00:01,900\nWorld\n' > $sub
[ -f sub.vtt ] || printf 'WEBVTT\n\n00:00.100 --> 00:01.000\nHello\n' > sub.vtt
[ -f sub.ass ] || $ff -i $sub sub.ass
[ -f font.ttf ] || { printf '\0\1\0\0'; head -c 40000 /dev/zero; } > font.ttf
[ -f cover.png ] || $ff -f lavfi -i testsrc=s=120x80 -frames:v 1 cover.png
[ -f cover.jpg ] || $ff -f lavfi -i testsrc=s=64x96 -frames:v 1 cover.jpg
[ -f chapters.txt ] || printf 'CHAPTER01=00:00:00.000\nCHAPTER01NAME=One\nCHAPTER02=00:00:01.000\nCHAPTER02NAME=Two\n' > chapters.txt
[ -f film.mkv ] || $ff -f lavfi -i testsrc=s=160x90:r=24000/1001:d=2 -f lavfi -i sine=d=2:r=48000 \
    -map 0 -map 1 -c:v libx264 -preset ultrafast -c:a aac film.mkv
v() { printf '%s' "-f lavfi -i testsrc=s=${2:-160x90}:r=${1:-25}:d=${3:-2}"; }
a() { printf '%s' "-f lavfi -i anoisesrc=d=2:r=${2:-48000}:a=0.1,aformat=channel_layouts=${1:-stereo}"; }
"#;

/// Makes all that are not there yet, then names the scripts that failed.
pub(super) fn make(recipes: &[Recipe]) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    std::fs::create_dir_all(&dir).expect("a directory in target");
    let _lock = Lock::take(&dir);
    let (made, failed): (Vec<_>, Vec<_>) =
        recipes.iter().map(|recipe| one(&dir, recipe)).partition(Result::is_ok);
    let failed: Vec<String> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "files could not be made:\n{}", failed.join("\n"));
    made.into_iter().flatten().collect()
}

fn one(dir: &Path, recipe: &Recipe) -> Result<PathBuf, String> {
    let path = dir.join(&recipe.name);
    let note = dir.join(format!("{}.recipe", recipe.name));
    let script = format!("{PRELUDE}\nout='{}'\n{}\n", recipe.name, recipe.script);
    if path.exists() && std::fs::read_to_string(&note).is_ok_and(|made| made == script) {
        return Ok(path);
    }
    let output = Command::new("sh").args(["-c", &script]).current_dir(dir).output().expect("sh runs");
    if !output.status.success() || !path.exists() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}\n{said}", recipe.name, recipe.script));
    }
    std::fs::write(&note, script).expect("the recipe is noted");
    Ok(path)
}

/// The real files beside the project, where they are.
pub(super) fn real() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    for root in [root, std::env::var_os("VPO_TEST_CORPUS").map(PathBuf::from).unwrap_or_default()] {
        walk(&root, &mut found);
    }
    found.sort();
    found
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path
            .extension()
            .and_then(|name| name.to_str())
            .is_some_and(|name| media::extensions().any(|extension| name.eq_ignore_ascii_case(extension)))
        {
            found.push(path);
        }
    }
}

/// Tests that need the same files make them one after the other.
struct Lock(std::fs::File);

impl Lock {
    fn take(dir: &Path) -> Self {
        let file = std::fs::File::create(dir.join("lock")).expect("a lock file");
        file.lock().expect("the lock");
        Self(file)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
