//! The comment that a page of the standard library begins with.

/// The comment at the head of a page in either language, without its marks.
pub(crate) fn header(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("--").or_else(|| line.strip_prefix("//!")));
    let lines = lines.map(|line| {
        let line = line.strip_prefix('-').unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line)
    });
    lines.map(|line| line.to_string() + "\n").collect()
}

/// The first sentence of it.
pub(crate) fn summary(source: &str) -> String {
    first_sentence(&header(source))
}

/// The first sentence of a comment, which may go over several lines; it ends at an empty line or one that ends in a colon.
pub(crate) fn first_sentence(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty() && !line.ends_with(':'));
    let first = lines.collect::<Vec<_>>().join(" ");
    // "et al. 2015" ends no sentence.
    let end = first.match_indices(". ").map(|(at, _)| at).find(|&at| !first[..at].ends_with(" al"));
    first[..end.unwrap_or(first.len())].trim_end_matches('.').to_string()
}
