//! Turns a panic of a parser into an error of that file, without output on stderr.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use super::error::Error;
use crate::base::error::panic_message;
use crate::base::text::Escaped;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `parse`; a panic in it becomes [`Error::Panicked`].
pub(crate) fn catch_panics<T>(parse: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    install_hook();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(parse));
    GUARDED.set(outer);
    result.unwrap_or_else(|_| Err(Error::Panicked { message: MESSAGE.take() }))
}

/// Installs a panic hook that records the message of panics within [`catch_panics`] and passes all
/// others to the previous hook, which prints to stderr.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if GUARDED.get() {
                MESSAGE.replace(describe(info));
            } else {
                before(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = Escaped(panic_message(info.payload()));
    info.location()
        .map_or(message.to_string(), |place| format!("{message} at {}:{}", place.file(), place.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_it() {
        let error = catch_panics::<()>(|| panic!("index\nout of \u{202e}bounds")).unwrap_err().to_string();
        assert!(error.contains(r"index\nout of \u{202e}bounds at src/media/guard.rs:"), "{error}");
        assert_eq!(catch_panics(|| Ok(1)).unwrap(), 1);
    }
}
