//! Did you mean …?

/// The name among `known` that is most similar to `given`. At most a third of its characters differ.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // More than a third longer than any known name. The comparison of a long text would take much memory.
    if given.len() > 100 {
        return None;
    }
    let length = given.chars().count();
    // A file may have tens of thousands of names, so the lengths are compared first.
    let is_near = |distance: usize, name: &str| distance * 3 <= name.chars().count().max(3);
    known
        .into_iter()
        .filter(|name| is_near(length.abs_diff(name.chars().count()), name))
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, name)| is_near(*distance, name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
