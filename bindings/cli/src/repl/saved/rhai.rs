//! Inputs as statements of a Rhai script.

use super::pieces::{Piece, code_of, pieces};
use super::versions::distinct;
use super::{End, Input, body, comment, with_comments};
use crate::repl::syntax::{RHAI, tokens};

pub(super) fn lines(inputs: &[Input<'_>]) -> Vec<String> {
    let texts = distinct(inputs);
    let all = texts.iter().flat_map(|text| pieces(text));
    let constants: Vec<&str> =
        all.filter(|p| p.first == "const").filter_map(|p| Some(p.declared()?.0)).collect();
    inputs
        .iter()
        .zip(&texts)
        .map(|(input, text)| line(&Input { text, ..input.clone() }, &constants))
        .collect()
}

fn line(input: &Input<'_>, constants: &[&str]) -> String {
    let found = tokens(&RHAI, input.text);
    let (code, comments) = body(input.text, &found);
    if code.is_empty() {
        return comments;
    }
    let written = match input.end {
        End::Done => done(input, code),
        End::Failed { known, new, imported } => failed(code, known, new, imported, constants),
        End::Stopped => return comment("//", "Left out:", input.text),
    };
    with_comments(written, &comments)
}

fn done(input: &Input<'_>, code: &str) -> String {
    // What declares stays as it is; the value is that of what follows it.
    let all = pieces(code);
    let declaring = all.iter().rposition(Piece::declares).map_or(0, |at| at + 1);
    let mut lines: Vec<String> = all[..declaring].iter().map(|piece| whole(piece.text)).collect();
    if let (Some(first), Some(last)) = (all.get(declaring), all.last()) {
        let text = code[first.at..last.at + last.text.len()].trim_end_matches(';').trim_end();
        let alone = declaring + 1 == all.len();
        let code = match text.strip_prefix("return").filter(|rest| alone && !rest.starts_with(is_word)) {
            Some("") => return lines.join("\n"),
            Some(returned) => returned.trim().to_string(),
            None if returns(text) => outside_script(text),
            None if input.expression || input.values == 0 => text.to_string(),
            None if alone && !text.contains('{') => text.to_string(),
            None => format!("{{ {text}\n}}"),
        };
        lines.push(if input.values == 0 { closed(&code) } else { value(input, &code) });
    }
    lines.join("\n")
}

/// A statement that does not end the script, where the input that it was has ended with it.
fn whole(text: &str) -> String {
    if returns(text) { closed(&outside_script(text)) } else { closed(text) }
}

/// Code whose `return` leaves it alone.
fn outside_script(text: &str) -> String {
    format!("(|| {{ {text}\n}}).call()")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A value: kept by name where another input uses it, and printed where it was shown.
fn value(input: &Input<'_>, code: &str) -> String {
    match input.kept {
        Some(number) => {
            let print = if input.shown { format!("\nprint(ans{number});") } else { String::new() };
            format!("let ans = {code};\nlet ans{number} = ans;{print}")
        }
        None if input.shown => format!("print({code});"),
        None => closed(code),
    }
}

/// An input that failed after it had begun. All up to the last variable that it declared has run; what follows is tried.
fn failed(code: &str, known: &[String], new: &[String], imported: &[String], constants: &[&str]) -> String {
    let all = pieces(code);
    let declares = |name: &String| all.iter().position(|p| p.declared().is_some_and(|(n, _)| n == name));
    let ran = new.iter().filter_map(declares).max().map_or(0, |at| at + 1);
    let mut before: Vec<String> = all[..ran].iter().map(|piece| whole(piece.text)).collect();
    let rest = &all[ran..];
    let last = rest.iter().rposition(|piece| !piece.is_function());
    let mut inside = Vec::new();
    for (i, piece) in rest.iter().enumerate() {
        // What stands last is what failed. A constant cannot be assigned to, only declared again. A module that was imported
        // is known after the block; an import that was not reached, or failed, stays in it.
        let constant = piece.declared().is_some_and(|(name, _)| constants.contains(&name));
        let import = piece.import_name().is_some_and(|name| imported.iter().any(|known| known == name));
        if piece.is_function() || import || (constant && Some(i) != last) {
            before.push(closed(piece.text));
            continue;
        }
        // A variable that was there before must not be one of the block.
        let known = |name: &str| known.iter().any(|k| k == name) && !constants.contains(&name);
        inside.push(match piece.declared().filter(|(name, _)| known(name)) {
            Some((name, "" | ";")) => format!("{name} = ();"),
            Some((name, rest)) => closed(&format!("{name} {rest}")),
            None => closed(piece.text),
        });
    }
    before.push(format!("try {{ // it failed\n{}\n}} catch {{ }}", inside.join("\n")));
    before.join("\n")
}

/// A statement with its end.
fn closed(text: &str) -> String {
    let text = text.trim();
    let function = text.starts_with("fn ") || text.starts_with("private ");
    if text.ends_with(';') || (function && pieces(text).len() == 1) {
        text.to_string()
    } else {
        format!("{text};")
    }
}

/// Whether a text leaves a script early. One with functions or closures may do so for itself.
fn returns(text: &str) -> bool {
    let found = code_of(text);
    let has = |word: &str| found.iter().any(|t| t.text(text) == word);
    has("return") && !has("fn") && !has("|") && !has("||")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, change: impl FnOnce(&mut Input<'_>)) -> String {
        let end = End::Done;
        let mut input = Input { expression: true, values: 1, shown: true, ..Input::of(text, &end) };
        change(&mut input);
        line(&input, &[])
    }

    fn nothing(i: &mut Input<'_>) {
        (i.expression, i.values) = (false, 0);
    }

    #[test]
    fn a_shown_value_is_printed() {
        assert_eq!(written("1 + 2", |_| ()), "print(1 + 2);");
        assert_eq!(written("if a { 1 } else { 2 }", |_| ()), "print(if a { 1 } else { 2 });");
        assert_eq!(written("f(2) // twice", |_| ()), "print(f(2)); // twice");
        assert_eq!(written("1 + 2", |i| i.kept = Some(3)), "let ans = 1 + 2;\nlet ans3 = ans;\nprint(ans3);");
        assert_eq!(written("f(2)", |i| i.shown = false), "f(2);");
    }

    #[test]
    fn the_value_of_statements_is_that_of_what_follows_declarations() {
        let list = |text: &str| written(text, |i| i.expression = false);
        assert_eq!(list("let x = 3; x"), "let x = 3;\nprint(x);");
        assert_eq!(list("fn f() { 1 } f()"), "fn f() { 1 }\nprint(f());");
        assert_eq!(list("let x = 1; x += 1; x"), "let x = 1;\nprint({ x += 1; x\n});");
        assert_eq!(list("if a { b() } x"), "print({ if a { b() } x\n});");
        assert_eq!(list("let x = 1; return x;"), "let x = 1;\nprint(x);");
        assert_eq!(list("if a { return 5; } 6"), "print((|| { if a { return 5; } 6\n}).call());");
        assert_eq!(list("if a { b() } let x = 3; x"), "if a { b() };\nlet x = 3;\nprint(x);");
        assert_eq!(written("if a { return; }", nothing), "(|| { if a { return; }\n}).call();");
        assert_eq!(written("return;", nothing), "");
    }

    #[test]
    fn every_statement_has_an_end() {
        assert_eq!(written("let x = #{a: 1}", nothing), "let x = #{a: 1};");
        assert_eq!(written("let f = |x| { x } // why", nothing), "let f = |x| { x }; // why");
        assert_eq!(written("import \"lota/adapt\" as adapt", nothing), "import \"lota/adapt\" as adapt;");
        assert_eq!(written("fn f() { 1 }", nothing), "fn f() { 1 }");
        assert_eq!(written("while x < 3 { x += 1 }", nothing), "while x < 3 { x += 1 };");
    }

    #[test]
    fn what_failed_keeps_what_it_had_declared() {
        let end =
            End::Failed { known: vec!["a".into(), "b".into()], new: vec!["b".into()], imported: Vec::new() };
        let text = "fn f() { 1 } let a = 1; let b = 2; let c = boom();";
        let input = Input::of(text, &end);
        assert_eq!(
            line(&input, &[]),
            "fn f() { 1 }\nlet a = 1;\nlet b = 2;\ntry { // it failed\nlet c = boom();\n} catch { }"
        );
    }

    #[test]
    fn what_failed_changes_a_variable_that_was_there() {
        let end = End::Failed { known: vec!["x".into()], new: Vec::new(), imported: Vec::new() };
        let input = Input::of("let x = 2; boom()", &end);
        assert_eq!(line(&input, &[]), "try { // it failed\nx = 2;\nboom();\n} catch { }");
    }

    #[test]
    fn an_import_stands_outside_of_what_failed_only_if_it_ran() {
        let end = End::Failed { known: Vec::new(), new: Vec::new(), imported: vec!["a".into()] };
        let text = "import \"a\" as a; boom(); import \"b\" as b; b::f()";
        assert_eq!(
            line(&Input::of(text, &end), &[]),
            "import \"a\" as a;\ntry { // it failed\nboom();\nimport \"b\" as b;\nb::f();\n} catch { }"
        );
    }
}
