//! Inputs as statements of a Lua script.

use super::{End, Input, body, comment, with_comments};
use crate::repl::syntax::{Kind, LUA, Token, tokens};

pub(super) fn lines(inputs: &[Input<'_>]) -> Vec<String> {
    inputs.iter().map(line).collect()
}

fn line(input: &Input<'_>) -> String {
    let found = tokens(&LUA, input.text);
    let (code, comments) = body(input.text, &found);
    if code.is_empty() {
        return comments;
    }
    let written = match input.end {
        End::Done => done(input, code),
        End::Failed { .. } => failed(input, code, &found),
        End::Stopped => return comment("--", "Left out:", input.text),
    };
    with_comments(written, &comments)
}

/// An input that ran. Each was a chunk of its own, and in a script all are one.
fn done(input: &Input<'_>, code: &str) -> String {
    if input.expression {
        return expression(input, code);
    }
    let returned = code.strip_prefix("return").filter(|rest| rest.starts_with(|c: char| !is_word(c)));
    if let Some(values) = returned {
        return expression(&Input { statement: false, ..input.clone() }, values.trim_start());
    }
    let text = promoted(code);
    let found = tokens(&LUA, &text);
    if outside_functions(&text, &found, |word, _| word == "return") {
        let whole = format!("(function(...)\n{text}\nend)(...)");
        return expression(&Input { statement: true, ..input.clone() }, &whole);
    }
    // What is local to an input would be local to all that follow, and a label can stand once in a chunk.
    if outside_functions(&text, &found, |word, depth| depth == 0 && matches!(word, "local" | "::")) {
        return format!("do\n{text}\nend");
    }
    separate(text)
}

/// Values: kept by name where another input uses them, and printed where they were shown.
fn expression(input: &Input<'_>, code: &str) -> String {
    let shown = input.shown && input.values > 0;
    let say = if input.plain { "print" } else { "lota.print" };
    match input.kept {
        Some(number) if shown && input.values > 1 => format!(
            "do\n  local all = table.pack({code})\n  _, _{number} = all[1], all[1]\n  \
             {say}(table.unpack(all, 1, all.n))\nend"
        ),
        Some(number) => {
            let print = if shown { format!("\n{say}(_{number})") } else { String::new() };
            format!("_ = {code}\n_{number} = _{print}")
        }
        None if shown => format!("{say}({code})"),
        None if input.statement => separate(code.to_string()),
        None => format!("do\n  local _ = {code}\nend"),
    }
}

/// An input that failed after it had begun: what it did until then is done again. One that can have done nothing is left
/// out.
fn failed(input: &Input<'_>, code: &str, found: &[Token]) -> String {
    let acts = |t: &Token| match t.kind {
        Kind::Text(_) => true,
        Kind::Symbol => matches!(t.text(input.text), "(" | "{" | "=" | ":"),
        _ => false,
    };
    if !found.iter().any(acts) {
        return comment("--", "Failed:", code);
    }
    let text = if input.expression { format!("return {code}") } else { promoted(code) };
    format!("pcall(function(...) -- it failed\n{text}\nend)")
}

fn promoted(code: &str) -> String {
    (LUA.promote)(code, &tokens(&LUA, code))
}

/// A statement that begins with a bracket would be a call of what the line before it ends with.
fn separate(text: String) -> String {
    if text.starts_with('(') { format!(";{text}") } else { text }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a word or symbol that stands in no function, at a depth of blocks, is one that is looked for.
fn outside_functions(text: &str, found: &[Token], is_it: impl Fn(&str, usize) -> bool) -> bool {
    let mut blocks: Vec<bool> = Vec::new();
    for token in found.iter().filter(|t| matches!(t.kind, Kind::Keyword | Kind::Symbol)) {
        let word = token.text(text);
        if !blocks.contains(&true) && is_it(word, blocks.len()) {
            return true;
        }
        match word {
            "function" => blocks.push(true),
            "do" | "if" | "repeat" => blocks.push(false),
            "end" | "until" => {
                blocks.pop();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input<'a>(text: &'a str, end: &'a End) -> Input<'a> {
        Input { expression: true, statement: false, values: 1, shown: true, ..Input::of(text, end) }
    }

    fn written(text: &str, change: impl FnOnce(&mut Input<'_>)) -> String {
        let mut input = input(text, &End::Done);
        change(&mut input);
        line(&input)
    }

    #[test]
    fn a_shown_expression_is_printed() {
        assert_eq!(written("x + 1", |_| ()), "lota.print(x + 1)");
        assert_eq!(written("x -- why", |_| ()), "lota.print(x) -- why");
        assert_eq!(written("x; -- why", |i| i.shown = false), "do\n  local _ = x\nend -- why");
        assert_eq!(written("-- nothing", |_| ()), "-- nothing");
        assert_eq!(written("{nil, 1}", |i| i.plain = true), "print({nil, 1})");
    }

    #[test]
    fn a_value_that_is_used_is_kept_by_name() {
        assert_eq!(written("x", |i| i.kept = Some(2)), "_ = x\n_2 = _\nlota.print(_2)");
        let two = written("f()", |i| (i.kept, i.values) = (Some(2), 2));
        assert!(two.contains("table.pack(f())") && two.contains("_, _2 = all[1], all[1]"), "{two}");
    }

    #[test]
    fn a_chunk_stays_one_where_it_must() {
        let statement = |text: &str, values: usize| {
            written(text, |i| (i.expression, i.statement, i.values) = (false, true, values))
        };
        assert_eq!(statement("local x = 1", 0), "x = 1");
        assert_eq!(statement("local x", 0), "do\nlocal x\nend");
        assert_eq!(statement("::again:: f()", 0), "do\n::again:: f()\nend");
        assert_eq!(statement("return x", 1), "lota.print(x)");
        assert_eq!(statement("x = 2 return x", 1), "lota.print((function(...)\nx = 2 return x\nend)(...))");
        assert_eq!(statement("if x then return end", 0), ";(function(...)\nif x then return end\nend)(...)");
        assert_eq!(statement("function f() return 1 end", 0), "function f() return 1 end");
        let call = written("(f)()", |i| (i.statement, i.values) = (true, 0));
        assert_eq!(call, ";(f)()");
    }

    #[test]
    fn what_failed_is_tried_again_where_it_can_have_done_something() {
        let end = End::Failed { known: Vec::new(), new: Vec::new(), imported: Vec::new() };
        let mut failed = input("x = 1 error 'no'", &end);
        failed.expression = false;
        assert_eq!(line(&failed), "pcall(function(...) -- it failed\nx = 1 error 'no'\nend)");
        assert_eq!(line(&input("x.y.z", &end)), "-- Failed:\n--   x.y.z");
        assert_eq!(line(&input("f()", &End::Stopped)), "-- Left out:\n--   f()");
    }
}
