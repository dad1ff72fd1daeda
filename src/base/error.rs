//! What went wrong, in one line: an error with its causes, and the message of a panic.

use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::iter::successors;
use std::path::Path;

use super::permission::denied;

/// An error and its causes, the outermost first.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + use<'a> {
    successors(Some(error), |&error| error.source())
}

/// The text of an error without the numbers that the standard library appends: ` (os error 13)`.
pub fn plain(error: impl Display) -> String {
    const NUMBER: &str = " (os error ";
    let text = error.to_string();
    let mut parts = text.split(NUMBER);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| match part.split_once(')') {
        Some((number, rest)) if number.parse::<i32>().is_ok() => line + rest,
        _ => line + NUMBER + part,
    })
}

/// Why `path` cannot be used, for an error of the operating system. A permission error names the user of this process, the
/// owner and mode of what is in the way, and the fix.
pub(crate) fn at(path: &Path, error: impl Into<io::Error>) -> String {
    let error = error.into();
    if error.kind() == io::ErrorKind::PermissionDenied { denied(path) } else { plain(&error) }
}

/// Joins errors as `what: why: why that`. Leaves out an error whose text is already in the line.
#[must_use]
pub fn join<'a>(errors: impl IntoIterator<Item = &'a (dyn Error + 'static)>) -> String {
    errors.into_iter().map(plain).fold(String::new(), |line, text| match line.as_str() {
        "" => text,
        said if said.contains(&text) => line,
        said => format!("{said}: {text}"),
    })
}

/// An error and its causes in one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    join(causes(error))
}

/// The text that a panic was raised with.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown reason")
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("cannot read: {0}; look at the disk")]
        Quotes(#[source] io::Error),
        #[error("cannot read")]
        Leaves(#[source] io::Error),
        #[error("cannot scan")]
        Outer(#[source] Box<Failure>),
    }

    #[test]
    fn each_cause_is_in_the_line_once() {
        let cause = || io::Error::other("no such device");
        assert_eq!(chain(&Failure::Quotes(cause())), "cannot read: no such device; look at the disk");
        assert_eq!(chain(&Failure::Leaves(cause())), "cannot read: no such device");
        let deep = Failure::Outer(Box::new(Failure::Leaves(cause())));
        assert_eq!(chain(&deep), "cannot scan: cannot read: no such device");
        assert_eq!(join(causes(&deep).take(2)), "cannot scan: cannot read");
    }

    #[test]
    fn numbers_of_the_operating_system_are_left_out() {
        let denied = || io::Error::from_raw_os_error(13);
        assert_eq!(chain(&Failure::Quotes(denied())), "cannot read: Permission denied; look at the disk");
        assert_eq!(plain("a (os error 2): b (os error 13)"), "a: b");
        assert_eq!(plain("film (os error x).mkv (os error 7"), "film (os error x).mkv (os error 7");
    }

    #[test]
    fn a_panic_has_a_message_whatever_it_was_raised_with() {
        let raised = |panic: fn()| std::panic::catch_unwind(panic).expect_err("a panic");
        for (panic, message) in [
            ((|| panic!("a literal")) as fn(), "a literal"),
            (|| panic!("{} text", "formatted"), "formatted text"),
            (|| panic_any(7), "unknown reason"),
        ] {
            assert_eq!(panic_message(&*raised(panic)), message);
        }
    }
}
