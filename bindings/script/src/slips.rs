//! What people who know Python or another language write by habit, with what to write here. Asked where a text does not
//! parse, with the line that the parser stopped at.

use crate::Language;

/// A habit: how it shows in the words of a line, and what each language has instead; "" where the language has it too.
struct Slip {
    shows: fn(&[&str]) -> bool,
    lua: &'static str,
    rhai: &'static str,
}

/// The first that shows is told, so narrow ones stand first.
const SLIPS: [Slip; 13] = [
    Slip {
        shows: |line| is_comment(line),
        lua: "a comment begins with `--`",
        rhai: "a comment begins with `//`",
    },
    Slip { shows: |line| line.contains(&"!="), lua: "`not equal` is written `~=`", rhai: "" },
    Slip {
        shows: |line| matches!(line.first(), Some(&"import" | &"from")),
        lua: "a module is loaded by `local name = require \"name\"`",
        rhai: "a module is loaded by `import \"lota/adapt\" as adapt`",
    },
    Slip {
        shows: |line| matches!(line.first(), Some(&"def")),
        lua: "a function is written `function name(x) ... end`",
        rhai: "a function is written `fn name(x) { ... }`",
    },
    Slip {
        shows: |line| line.contains(&"elif"),
        lua: "`elif` is written `elseif`",
        rhai: "`elif` is written `else if`",
    },
    Slip {
        shows: |line| line.iter().any(|word| matches!(*word, "+=" | "-=" | "*=" | "/=" | "++")),
        lua: "there is no `+=`: write x = x + 1",
        rhai: "",
    },
    Slip {
        shows: has_named_argument,
        lua: "named arguments are a table: f { key = value }, or after others f(x, { key = value })",
        rhai: "named arguments are a map: f(x, #{ key: value })",
    },
    Slip { shows: |line| line.contains(&"&&"), lua: "`&&` is written `and`", rhai: "" },
    Slip { shows: |line| line.contains(&"||"), lua: "`||` is written `or`", rhai: "" },
    Slip {
        shows: |line| line.iter().any(|word| matches!(*word, "and" | "or" | "not")),
        lua: "",
        rhai: "`and`, `or` and `not` are written `&&`, `||` and `!`",
    },
    Slip {
        shows: |line| {
            matches!(line.first(), Some(&"if" | &"for" | &"while" | &"else")) && line.last() == Some(&":")
        },
        lua: "a block is `if x then ... end`, `for ... do ... end`, `while x do ... end`",
        rhai: "a block is `if x { ... }`, `for x in list { ... }`, `while x { ... }`",
    },
    Slip {
        shows: |line| line.contains(&"None"),
        lua: "`None` is written `nil`",
        rhai: "`None` is written `()`",
    },
    Slip {
        shows: |line| line.iter().any(|word| matches!(*word, "True" | "False")),
        lua: "truth values are written `true` and `false`",
        rhai: "truth values are written `true` and `false`",
    },
];

/// What to write in place of a habit that shows in a line (counted from 1) of a text that does not parse.
pub(crate) fn in_source(language: Language, source: &str, line: usize) -> Option<&'static str> {
    in_line(language, source.lines().nth(line.checked_sub(1)?)?)
}

/// What to write for a name that no script has, but Python does.
pub(crate) fn of_name(language: Language, name: &str) -> Option<&'static str> {
    matches!(name, "None" | "True" | "False").then(|| in_line(language, name)).flatten()
}

fn in_line(language: Language, line: &str) -> Option<&'static str> {
    let words = words(line, language.comment());
    let instead = |slip: &Slip| match language {
        Language::Lua => slip.lua,
        Language::Rhai => slip.rhai,
    };
    SLIPS.iter().filter(|slip| (slip.shows)(&words)).map(instead).find(|text| !text.is_empty())
}

/// A `#` at the beginning of a line, or with a space after it, is no operator.
fn is_comment(line: &[&str]) -> bool {
    line.first() == Some(&"#") || line.contains(&"# ")
}

/// `(key = ` or `, key = ` inside round brackets.
fn has_named_argument(line: &[&str]) -> bool {
    let mut open = Vec::new();
    for (i, word) in line.iter().enumerate() {
        match *word {
            "(" | "[" | "{" => open.push(*word),
            ")" | "]" | "}" => drop(open.pop()),
            "=" if open.last() == Some(&"(") && i >= 2 && matches!(line[i - 2], "(" | ",") => return true,
            _ => {}
        }
    }
    false
}

/// The words and symbols of a line, without comments. A string is one word that says nothing; `# ` keeps its space.
fn words<'a>(line: &'a str, comment: &str) -> Vec<&'a str> {
    const SYMBOLS: [&str; 12] = ["!=", "==", "<=", ">=", "~=", "+=", "-=", "*=", "/=", "++", "&&", "||"];
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        if rest.starts_with(comment) {
            break;
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
        } else if matches!(first, '"' | '\'' | '`') {
            end_of_string(rest, first)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            symbol.len()
        } else if rest.starts_with("# ") && !words.is_empty() {
            2
        } else {
            first.len_utf8()
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

fn end_of_string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_seen_where_they_are_and_nowhere_else() {
        let lua = |line| in_line(Language::Lua, line).unwrap_or("-");
        for (line, hint) in [
            ("if x != 1 then", "`~=`"),
            ("import torch", "require"),
            ("from lota import adapt", "require"),
            ("# a comment", "`--`"),
            ("x = 1 # a comment", "`--`"),
            ("f(x, key=1)", "{ key = value }"),
            ("f(lr=0.1, steps=2)", "{ key = value }"),
            ("f { x } (key = 1)", "{ key = value }"),
            ("x += 1", "x = x + 1"),
            ("x = None or or 1", "`nil`"),
            ("if a && b then", "`and`"),
            ("elif x then", "`elseif`"),
            ("def f(x):", "function name"),
            ("for x in xs:", "for ... do"),
            ("return True False", "`true`"),
            // Strings, comments, lengths and tables are what they are.
            ("print('a != b') )", "-"),
            ("print(#t) ) -- x += 1", "-"),
            ("f({ key = 1 }) )", "-"),
            ("f(x == 1) )", "-"),
            ("t = { # t }", "`--`"),
        ] {
            let told = lua(line);
            assert!(told.contains(hint), "{line}: {told}");
        }
        let rhai = |line| in_line(Language::Rhai, line).unwrap_or("-");
        for (line, hint) in [
            ("let x = 1 # a comment", "`//`"),
            ("let m = #{ a: 1 } )", "-"),
            ("x != 1 )", "-"),
            ("x += )", "-"),
            ("import torch", "import \"lota/adapt\" as adapt"),
            ("f(key=1)", "#{ key: value }"),
            ("if not x { }", "`!`"),
            ("None None", "`()`"),
        ] {
            let told = rhai(line);
            assert!(told.contains(hint), "{line}: {told}");
        }
    }

    #[test]
    fn the_line_that_the_parser_stopped_at_is_looked_at() {
        let source = "local x = 1\nx += 1\n";
        assert!(in_source(Language::Lua, source, 2).is_some());
        assert!(in_source(Language::Lua, source, 1).is_none());
        assert!(
            in_source(Language::Lua, source, 0).is_none() && in_source(Language::Lua, source, 9).is_none()
        );
        assert_eq!(of_name(Language::Rhai, "None"), Some("`None` is written `()`"));
        assert_eq!(of_name(Language::Lua, "none"), None);
    }
}
