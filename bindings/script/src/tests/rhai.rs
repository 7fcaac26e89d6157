//! What only Rhai has.

use super::library::{Script, text};
use crate::{ErrorKind, Files, Language, Limits};

#[test]
fn thrown_values_pass_through_a_callback_as_they_are() {
    let script = Script::new(Language::Rhai);
    let value = script.run(
        "let code = 0; try { lota::each([\"a\"], |name| { throw #{ code: 5 } }) } catch (e) { code = e.code; } code",
    );
    assert_eq!(text(&value.expect("runs")), "5");
}

#[test]
fn memory_of_the_interpreter_is_bounded() {
    let limits = Limits { script_memory: Some(4 << 20), ..Limits::none() };
    let script = Script::bounded(Language::Rhai, limits, Files::default());
    let error =
        script.fails("let t = []; loop { t.push(\"a text that is longer than one inside \" + t.len()); }");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(text(&script.run("1 + 1").expect("goes on")), "2");
}

#[test]
fn an_unknown_function_offers_the_nearest() {
    let error = Script::new(Language::Rhai).fails("lota::vector::zeroes(3)");
    assert!(error.message().contains("did you mean 'lota::vector::zeros'"), "{error}");
}
