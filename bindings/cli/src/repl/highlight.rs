//! Colours: a function of the text, the cursor and the registry.

use lota::api::Registry;

use super::syntax::{Kind, Syntax, Token, tokens};

const RESET: &str = "\x1b[0m";

/// The colours of tokens, as a terminal names them.
mod style {
    pub const KEYWORD: &str = "\x1b[35m";
    pub const VALUE: &str = "\x1b[36m";
    pub const TEXT: &str = "\x1b[32m";
    pub const COMMENT: &str = "\x1b[90m";
    pub const PRIMITIVE: &str = "\x1b[34m";
    pub const PAIR: &str = "\x1b[1;33m";
    pub const LONELY: &str = "\x1b[31m";
    pub const COMMAND: &str = "\x1b[1m";
}

/// Text in a dim colour: prompts, hints and notes.
pub fn dim(text: &str) -> String {
    format!("{}{text}{RESET}", style::COMMENT)
}

/// The text with colours. With the cursor at `at`, the bracket there (or before it) and its partner
/// stand out; a bracket that closes nothing is marked. Without the colours it is the same text.
pub fn highlight(syntax: &Syntax, registry: &Registry, text: &str, at: usize) -> String {
    let code = text.find(|c: char| !c.is_whitespace()).unwrap_or(0);
    let command = text[code..].starts_with([':', '?']) && !text[code..].starts_with("::");
    let begin = if command {
        let rest = &text[code..];
        code + rest.find(char::is_whitespace).unwrap_or(rest.len())
    } else {
        0
    };
    let mut out = String::new();
    let mut from = 0;
    if command {
        out += &format!("{}{}{RESET}", style::COMMAND, &text[..begin]);
        from = begin;
    }
    // A name is not code.
    if text[code..].starts_with('?') {
        return out + &text[from..];
    }
    let found = tokens(syntax, &text[begin..]);
    let found: Vec<Token> =
        found.into_iter().map(|t| Token { start: t.start + begin, end: t.end + begin, ..t }).collect();
    let pairs = Pairs::of(text, &found);
    let lit = pairs.at_cursor(&found, at);
    for (i, token) in found.iter().enumerate() {
        out += &text[from..token.start];
        from = token.end;
        let style = if lit.is_some_and(|(a, b)| i == a || i == b) {
            style::PAIR
        } else if pairs.lonely.contains(&i) {
            style::LONELY
        } else {
            match token.kind {
                Kind::Keyword => style::KEYWORD,
                Kind::Constant | Kind::Number => style::VALUE,
                Kind::Text(_) => style::TEXT,
                Kind::Comment(_) => style::COMMENT,
                Kind::Name if is_primitive(syntax, registry, text, &found[..=i]) => style::PRIMITIVE,
                Kind::Name | Kind::Symbol => "",
            }
        };
        match style {
            "" => out += token.text(text),
            style => out += &format!("{style}{}{RESET}", token.text(text)),
        }
    }
    out + &text[from..]
}

/// Whether the name at the end is one that the registry knows: a path that begins with `lota`, or a
/// method of any type, for types of variables are not looked up while one types.
fn is_primitive(syntax: &Syntax, registry: &Registry, source: &str, tokens: &[Token]) -> bool {
    let word = |back: usize| {
        tokens.len().checked_sub(back).and_then(|i| tokens.get(i)).map_or("", |t| t.text(source))
    };
    let name = word(1);
    if word(2) == syntax.method && registry.iter().any(|p| p.owner().is_some() && p.short_name() == name) {
        return true;
    }
    let mut path = name.to_string();
    let mut back = 2;
    while word(back) == syntax.path {
        let owner = word(back + 1);
        if owner == "lota" {
            return registry.get(&path).is_some() || registry.areas().any(|(area, _)| area == path);
        }
        path = format!("{owner}.{path}");
        back += 2;
    }
    false
}

/// Which brackets belong together.
struct Pairs {
    pairs: Vec<(usize, usize)>,
    lonely: Vec<usize>,
}

impl Pairs {
    fn of(source: &str, tokens: &[Token]) -> Self {
        let (mut pairs, mut lonely, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for (i, token) in tokens.iter().enumerate().filter(|(_, t)| t.kind == Kind::Symbol) {
            let close = match token.text(source) {
                "(" => ")",
                "[" | "?[" => "]",
                "{" | "#{" => "}",
                text @ (")" | "]" | "}") => {
                    match open.pop() {
                        Some((at, close)) if close == text => pairs.push((at, i)),
                        Some(other) => {
                            open.push(other);
                            lonely.push(i);
                        }
                        None => lonely.push(i),
                    }
                    continue;
                }
                _ => continue,
            };
            open.push((i, close));
        }
        Self { pairs, lonely }
    }

    /// The pair with a bracket under the cursor, or else right before it.
    fn at_cursor(&self, tokens: &[Token], at: usize) -> Option<(usize, usize)> {
        let touches = |i: usize, at: usize| tokens[i].start <= at && at < tokens[i].end;
        let find = |at: usize| self.pairs.iter().copied().find(|(a, b)| touches(*a, at) || touches(*b, at));
        find(at).or_else(|| find(at.checked_sub(1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::{LUA, RHAI};
    use super::*;
    use lota::api;

    /// The text with a letter for each colour: `<k local>`. The cursor is at `|`, or nowhere.
    fn marked(syntax: &Syntax, line: &str) -> String {
        let at = line.find('|').unwrap_or(usize::MAX);
        let out = highlight(syntax, &api::standard(), &line.replacen('|', "", 1), at);
        let letters = [
            (style::KEYWORD, "<k "),
            (style::VALUE, "<v "),
            (style::TEXT, "<t "),
            (style::COMMENT, "<c "),
            (style::PRIMITIVE, "<p "),
            (style::PAIR, "<( "),
            (style::LONELY, "<! "),
            (style::COMMAND, "<: "),
            (RESET, ">"),
        ];
        letters.iter().fold(out, |text, (code, letter)| text.replace(code, letter))
    }

    #[test]
    fn words_strings_numbers_and_primitives_have_colours() {
        assert_eq!(
            marked(&LUA, "local x = lota.mask.union(a, b):count() -- why"),
            "<k local> x = lota.<p mask>.<p union>(a, b):<p count>() <c -- why>"
        );
        assert_eq!(
            marked(&LUA, "return 'a', 1e3, nil, lota.nothing, x:nothing()"),
            "<k return> <t 'a'>, <v 1e3>, <v nil>, lota.nothing, x:nothing()"
        );
        assert_eq!(
            marked(&RHAI, "let x = lota::mask::union(a, b).count(); // why"),
            "<k let> x = lota::<p mask>::<p union>(a, b).<p count>(); <c // why>"
        );
        assert_eq!(marked(&LUA, ":time f(1)"), "<: :time> f(<v 1>)");
        assert_eq!(marked(&LUA, "?mask.union"), "<: ?mask.union>");
    }

    #[test]
    fn the_brackets_at_the_cursor_stand_out() {
        assert_eq!(marked(&LUA, "f(a[1]|)"), "f<( (>a[<v 1>]<( )>");
        assert_eq!(marked(&LUA, "f(a[1])|"), "f<( (>a[<v 1>]<( )>");
        assert_eq!(marked(&LUA, "|f(a)"), "f(a)");
        assert_eq!(marked(&LUA, "f(a]|)"), "f<( (>a<! ]><( )>");
        assert_eq!(marked(&LUA, "a)  '('|"), "a<! )>  <t '('>");
        assert_eq!(marked(&RHAI, "f(#{a: 1|})"), "f(<( #{>a: <v 1><( }>)");
    }

    proptest::proptest! {
        // Each case makes a registry.
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
        #[test]
        fn without_the_colours_it_is_the_same_text(line in "[-a-z0-9 .:()\\[\\]{}'\"?=#/*ß]{0,30}", at in 0usize..32) {
            let registry = api::standard();
            for syntax in [&LUA, &RHAI] {
                let mut out = highlight(syntax, &registry, &line, at);
                while let Some(start) = out.find('\x1b') {
                    let end = start + out[start..].find('m').expect("a colour ends") + 1;
                    out.replace_range(start..end, "");
                }
                assert_eq!(out, line);
            }
        }
    }
}
