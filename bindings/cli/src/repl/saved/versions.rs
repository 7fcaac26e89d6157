//! Functions of Rhai that are defined more than once. At a prompt the last definition so far is called; in a script a
//! function has one definition, which is known from the first line on. So earlier versions get names of their own, and so
//! do copies of the functions that call them.

use super::Input;
use super::pieces::{Piece, code_of, deeper, pieces};
use crate::repl::syntax::Token;

/// A function by its name and the number of its arguments.
type Key = (String, usize);

/// A definition in a text.
struct Definition {
    key: Key,
    start: usize,
    end: usize,
}

/// The texts of inputs, with each function defined once.
pub(super) fn distinct(inputs: &[Input<'_>]) -> Vec<String> {
    let mut texts: Vec<String> = inputs.iter().map(|i| i.text.to_string()).collect();
    for at in 0..texts.len() {
        let mut version = 0;
        while let Some((key, later)) = defined_again(&texts, at) {
            version += 1;
            separate(&mut texts, at, later, key, &format!("_{}_{version}", at + 1));
        }
    }
    texts
}

/// A function of a text that a later text defines again, and which text that is.
fn defined_again(texts: &[String], at: usize) -> Option<(Key, usize)> {
    definitions(&texts[at]).into_iter().find_map(|d| {
        let later = (at + 1..texts.len()).find(|&i| definitions(&texts[i]).iter().any(|e| e.key == d.key))?;
        Some((d.key, later))
    })
}

/// Gives the version of a function that is defined at one text and again at a later one a name of its own.
fn separate(texts: &mut [String], at: usize, later: usize, key: Key, suffix: &str) {
    let callers = callers(&texts[..later], &key);
    let mut renamed = callers.clone();
    renamed.push(key.clone());
    for (i, text) in texts.iter_mut().enumerate().take(later) {
        let copies: Vec<String> = definitions(text)
            .iter()
            .filter(|d| callers.contains(&d.key))
            .map(|d| rename(&text[d.start..d.end], &renamed, suffix, |_| true))
            .collect();
        if i >= at {
            let own = definitions(text);
            *text = rename(text, &renamed, suffix, |place| {
                let inside = own.iter().find(|d| d.start <= place && place < d.end);
                inside.is_none_or(|d| i == at && d.key == key)
            });
        }
        for copy in copies {
            // A comment at the end would hide what follows it.
            *text = format!("{copy}\n{text}");
        }
    }
}

/// The functions that call one, directly or through others. Those that are defined twice themselves are left out.
fn callers(texts: &[String], key: &Key) -> Vec<Key> {
    let all: Vec<(Definition, &str)> = texts
        .iter()
        .flat_map(|text| definitions(text).into_iter().map(move |d| (d, text.as_str())))
        .collect();
    let once = |key: &Key| all.iter().filter(|(d, _)| d.key == *key).count() == 1;
    let mut found: Vec<Key> = Vec::new();
    loop {
        let wanted: Vec<Key> = found.iter().chain([key]).cloned().collect();
        let next = all.iter().find(|(d, text)| {
            !wanted.contains(&d.key) && once(&d.key) && !calls(&text[d.start..d.end], &wanted).is_empty()
        });
        match next {
            Some((d, _)) => found.push(d.key.clone()),
            None => return found,
        }
    }
}

/// The tokens of a text that call some functions, or define them.
fn calls(text: &str, keys: &[Key]) -> Vec<Token> {
    let found = code_of(text);
    let is_it = |i: usize| {
        let method = i > 0 && found[i - 1].text(text) == ".";
        let open = found.get(i + 1).is_some_and(|t| t.text(text) == "(");
        open && !method && {
            let arity = arity(text, &found, i + 1);
            keys.iter().any(|(name, takes)| name == found[i].text(text) && *takes == arity)
        }
    };
    (0..found.len()).filter(|i| is_it(*i)).map(|i| found[i]).collect()
}

/// A text with a suffix at the names of functions, in the places that are asked for.
fn rename(text: &str, keys: &[Key], suffix: &str, place: impl Fn(usize) -> bool) -> String {
    let (mut out, mut from) = (String::new(), 0);
    for token in calls(text, keys).into_iter().filter(|t| place(t.start)) {
        out.push_str(&text[from..token.end]);
        out.push_str(suffix);
        from = token.end;
    }
    out + &text[from..]
}

fn definitions(text: &str) -> Vec<Definition> {
    let functions = pieces(text).into_iter().filter(Piece::is_function);
    functions
        .filter_map(|piece| {
            let found = code_of(piece.text);
            let name = found.iter().position(|t| t.text(piece.text) == "fn")? + 1;
            let key = (found.get(name)?.text(piece.text).to_string(), arity(piece.text, &found, name + 1));
            Some(Definition { key, start: piece.at, end: piece.at + piece.text.len() })
        })
        .collect()
}

/// How many values stand between the brackets that open at a token.
fn arity(text: &str, found: &[Token], open: usize) -> usize {
    let (mut depth, mut commas, mut last) = (0usize, 0, "");
    for token in found.get(open..).unwrap_or_default() {
        let word = token.text(text);
        depth = deeper(depth, word);
        if depth == 0 {
            // `f(a, )` has one argument.
            return if last == "(" { 0 } else { commas + usize::from(last != ",") };
        }
        commas += usize::from(depth == 1 && word == ",");
        last = word;
    }
    commas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::saved::End;

    fn texts(inputs: &[&str]) -> Vec<String> {
        let end = End::Done;
        let inputs: Vec<Input<'_>> = inputs.iter().map(|text| Input::of(text, &end)).collect();
        distinct(&inputs)
    }

    #[test]
    fn a_version_that_is_replaced_has_a_name_of_its_own() {
        let texts = texts(&["fn f(x) { x }", "f(1) + f(1, 2) + m.f(3)", "fn f(x) { f(x - 1) }", "f(2)"]);
        assert_eq!(
            texts,
            ["fn f_1_1(x) { x }", "f_1_1(1) + f(1, 2) + m.f(3)", "fn f(x) { f(x - 1) }", "f(2)"]
        );
    }

    #[test]
    fn what_calls_a_version_has_a_copy_for_it() {
        let texts = texts(&["fn g() { f(1) }", "fn f(x) { x }", "g()", "fn f(x) { 0 }", "g()"]);
        assert_eq!(
            texts,
            [
                "fn g_2_1() { f_2_1(1) }\nfn g() { f(1) }",
                "fn f_2_1(x) { x }",
                "g_2_1()",
                "fn f(x) { 0 }",
                "g()"
            ]
        );
    }

    #[test]
    fn three_versions_are_three_functions() {
        let texts = texts(&["fn f() { 1 } f()", "fn f() { 2 } f()", "fn f() { 3 } f()"]);
        assert_eq!(texts, ["fn f_1_1() { 1 } f_1_1()", "fn f_2_1() { 2 } f_2_1()", "fn f() { 3 } f()"]);
    }
}
