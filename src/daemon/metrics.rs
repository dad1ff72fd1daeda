//! Prometheus text exposition (format 0.0.4,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>). Imports nothing of the crate. Other parts
//! add their figures as collectors.

mod process;

use std::fmt::{self, Write as _};

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

/// A family of the text. Its samples follow its `HELP` and `TYPE`.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Text {
    /// Starts a family: a counter if its name ends in `_total`, else a gauge. Each name may appear once.
    pub(crate) fn family<'a>(&'a mut self, name: &'a str, help: &str) -> Family<'a> {
        self.typed(name, if name.ends_with("_total") { "counter" } else { "gauge" }, help)
    }

    /// Writes a family with one value and no labels.
    pub(crate) fn value(&mut self, name: &str, help: &str, value: impl fmt::Display) {
        self.family(name, help).sample(&[], value);
    }

    fn typed<'a>(&'a mut self, name: &'a str, kind: &str, help: &str) -> Family<'a> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        put(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// Writes a histogram. `bounds` are the upper bounds of the buckets. `counts` are the observations in each bucket, then
    /// those above all bounds; not cumulative.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, bounds: &[f64], counts: &[u64], sum: f64) {
        let text = self.typed(name, "histogram", help).text;
        let mut total = 0;
        for (bound, count) in bounds.iter().zip(counts) {
            total += count;
            put(text, format_args!("{name}_bucket{{le=\"{bound}\"}} {total}\n"));
        }
        total += counts.get(bounds.len()).copied().unwrap_or_default();
        put(
            text,
            format_args!("{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}\n"),
        );
    }
}

impl Family<'_> {
    /// Writes one sample. Label values are escaped.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.text.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            put(self.text, format_args!("{name}=\""));
            for char in value.chars() {
                match char {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    char => self.text.push(char),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        put(self.text, format_args!(" {value}\n"));
    }
}

/// Writing to memory cannot fail.
fn put(text: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

type Collector = Box<dyn Fn(&mut Text) + Send + Sync>;

/// All collectors of the daemon.
#[derive(Default)]
pub(crate) struct Registry(Vec<Collector>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} collectors)", self.0.len())
    }
}

impl Registry {
    /// A registry with the metrics of the process.
    #[must_use]
    pub(crate) fn with_process() -> Self {
        let mut registry = Self::default();
        registry.add(process::collect);
        registry
    }

    /// Adds a collector. It runs at each scrape and must not block.
    pub(crate) fn add(&mut self, collect: impl Fn(&mut Text) + Send + Sync + 'static) {
        self.0.push(Box::new(collect));
    }

    /// The answer to a scrape.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        let mut text = Text(String::with_capacity(8 * 1024));
        for collect in &self.0 {
            collect(&mut text);
        }
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = Text::default();
        text.family("vpo_root", "a\nb\\").sample(&[("path", "/a\"b\\c\nd")], 1);
        assert_eq!(
            text.0,
            "# HELP vpo_root a\\nb\\\\\n# TYPE vpo_root gauge\nvpo_root{path=\"/a\\\"b\\\\c\\nd\"} 1\n"
        );
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut text = Text::default();
        text.histogram("h", "help", &[0.5, 1.0], &[2, 1, 3], 9.25);
        let samples: Vec<_> = text.0.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "h_bucket{le=\"0.5\"} 2",
                "h_bucket{le=\"1\"} 3",
                "h_bucket{le=\"+Inf\"} 6",
                "h_sum 9.25",
                "h_count 6"
            ]
        );
    }
}
