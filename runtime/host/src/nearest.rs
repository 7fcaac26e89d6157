//! "Did you mean": the known name nearest to one that is not known.

/// Bytes of a name. To compare two takes the product of their lengths.
const LONGEST: usize = 200;

/// The nearest of `known`, if it is near enough to be what was meant. What is longer than 200 bytes is no name.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let near = |k: &str| strsim::damerau_levenshtein(name, k) <= 1 + k.len().max(name.len()) / 4;
    let known = known.into_iter().filter(|k| k.len() <= LONGEST);
    closest(name, known).filter(|k| near(k))
}

/// The nearest of `known`, however far it is. An empty name is none that could be meant.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter().filter(|k| !k.is_empty());
    known.min_by_key(|k| strsim::damerau_levenshtein(name, k))
}

/// `; did you mean 'density'?`, if there is a near name.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|k| format!("; did you mean '{k}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_far_from_all_is_closest_to_one_but_near_to_none() {
        let known = ["density", "scope", "seed"];
        assert_eq!(nearest("dnesity", known), Some("density"));
        assert_eq!(nearest("temperature", known), None);
        assert!(closest("temperature", known).is_some());
        assert_eq!(did_you_mean("sed", known).as_deref(), Some("; did you mean 'seed'?"));
        let long = "x".repeat(300_000);
        assert_eq!((nearest(&long, [long.as_str()]), nearest("xx", [&long, "xy"])), (None, Some("xy")));
        assert_eq!((nearest("x", [""]), closest("x", ["", "density"])), (None, Some("density")));
    }
}
