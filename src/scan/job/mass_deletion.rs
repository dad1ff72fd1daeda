//! How many files of a root may go missing at once before it looks like an accident.

/// From this many files on, and this share of the root's, going missing at once looks like an accident.
const MASS: usize = 10;
const MASS_PERCENT: u64 = 30;

/// Whether `gone` of `known` files are too many to go missing at once.
pub(super) fn is_mass_deletion(gone: usize, known: u64) -> bool {
    gone >= MASS && gone as u64 * 100 > known * MASS_PERCENT
}

#[cfg(test)]
mod tests {
    use super::is_mass_deletion;

    #[test]
    fn both_the_number_and_the_share_count() {
        assert!(!is_mass_deletion(9, 9), "all of a small root");
        assert!(is_mass_deletion(10, 33), "more than 30 %");
        assert!(!is_mass_deletion(10, 34), "less than 30 %");
        assert!(!is_mass_deletion(30, 100), "30 % are allowed");
        assert!(is_mass_deletion(31, 100));
        assert!(!is_mass_deletion(0, 0));
    }
}
