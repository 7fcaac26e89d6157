//! Choosing parameters by name.

use crate::model::{Role, Universe};
use crate::{Error, Result};

/// Whether a name matches a pattern: `*` stands for any run of characters, `?` for one, and
/// `{a,b}` for one of the alternatives.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    if let Some((before, rest)) = pattern.split_once('{')
        && let Some((choices, after)) = rest.split_once('}')
    {
        return choices.split(',').any(|choice| glob_matches(&format!("{before}{choice}{after}"), name));
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                // The last star takes one more character, and matching goes on behind it.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// The indices of the parameters that match any of the patterns, ascending. `adaptable` stands for
/// the two-dimensional attention and feed-forward weights, `all` for everything,
/// `lora` for factors of low rank. A pattern that matches nothing is an error.
pub fn matching_params<S: AsRef<str>>(universe: &Universe, patterns: &[S]) -> Result<Vec<usize>> {
    let mut chosen = vec![false; universe.len()];
    for pattern in patterns.iter().map(AsRef::as_ref) {
        let mut any = false;
        for (spec, chosen) in universe.specs().iter().zip(&mut chosen) {
            let hit = match pattern {
                "adaptable" => spec.adaptable(),
                "all" => true,
                "lora" => spec.role == Role::Lora,
                _ => glob_matches(pattern, &spec.name),
            };
            *chosen |= hit;
            any |= hit;
        }
        if !any {
            let example = universe.specs().iter().find(|s| s.adaptable()).or(universe.specs().first());
            return Err(Error::argument(format!(
                "no parameter matches {pattern:?}: use \"adaptable\", \"all\", or a pattern of names such as {:?}",
                example.map_or("model.layers.*.mlp.*", |spec| &spec.name)
            )));
        }
    }
    Ok((0..universe.len()).filter(|&i| chosen[i]).collect())
}
