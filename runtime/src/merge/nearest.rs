//! "Did you mean": the known name nearest to one that is not known.

/// `; did you mean "density"?`, if there is a near name; else nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known
        .into_iter()
        .map(|k| (crate::model::distance(name, k), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(name.len()) / 4)
        .min_by_key(|(distance, _)| *distance);
    near.map_or(String::new(), |(_, k)| format!("; did you mean {k:?}?"))
}
