//! "Did you mean", as errors about configurations write it: names in double quotes, as in their files.

/// `; did you mean "density"?`, if there is a near name; else nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    lota_host::nearest(name, known).map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}
