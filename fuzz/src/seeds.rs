//! Writes the samples of the tests as seeds: `seeds DIRECTORY`.

#[path = "../../tests/harness/samples.rs"]
mod samples;

fn main() -> std::io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "fuzz/seeds".to_owned());
    std::fs::create_dir_all(&directory)?;
    for (name, content) in samples::all() {
        std::fs::write(std::path::Path::new(&directory).join(name), content)?;
    }
    Ok(())
}
