//! The count of what a script holds comes back to where it was: nothing that crosses the border is counted on one side and
//! freed on the other.

use std::sync::Arc;

use super::Frontend;
use crate::tests::{registry, surroundings};
use crate::{Files, FromValue as _, Frontend as _, Language, Limits, Modules, Prompt as _, Value};

const MODULES: Modules = Modules { lua: &[], rhai: &[("lota/twice", "fn twice(x) { 2 * x }")] };

fn frontend() -> Frontend {
    let (ctx, _) = surroundings(Language::Rhai, Limits::none(), Files::default());
    Frontend::new(ctx, Arc::new(registry()), MODULES, false).expect("an interpreter")
}

/// Inputs that leave nothing behind, each with what crosses in it.
const LOOPS: [(&str, &str); 12] = [
    (
        "texts",
        r#"for i in 0..50 { let t = lota::vector::zeros(9).to_string() + "a text longer than one inside"; }"#,
    ),
    ("lists", "for i in 0..50 { let t = lota::vector::zeros(40).totable(); }"),
    ("objects", "for i in 0..50 { let a = lota::vector::zeros(40); let b = a + 1.0; let c = [a, b, a]; }"),
    (
        "errors",
        r#"for i in 0..50 { try { lota::vector::of("no", i) } catch (e) { let kept = [e, e.message]; } }"#,
    ),
    (
        "assertions",
        r#"for i in 0..50 { try { assert(false, "a text longer than one inside a string") } catch (e) { } }"#,
    ),
    ("missing", "for i in 0..50 { try { lota::vector::zeros(1).no_such_method() } catch (e) { e.message } }"),
    (
        "callbacks",
        r#"let names = ["a", "b"]; let n = 3; for i in 0..3 { lota::each(names, |name, i| { n += 1; () }); }"#,
    ),
    (
        "thrown",
        r#"let names = ["a name longer than one inside a value"];
           for i in 0..9 { try { lota::each(names, |name, i| { throw #{ message: name, list: [1, 2, 3] } }) } catch (e) { e.list } }"#,
    ),
    (
        "failed callbacks",
        r#"let names = ["a name longer than one inside a value"];
           for i in 0..9 { try { lota::each(names, |name, i| name.no_such_method_at_all()) } catch (e) { e.message } }"#,
    ),
    ("printed", r#"for i in 0..50 { print(`line ${i} of a text longer than one inside`); debug(i); }"#),
    ("parsed", r#"for i in 0..50 { try { eval("let = 3") } catch { } eval("let a = [1, 2, 3]; a.len()"); }"#),
    (
        "imports",
        r#"import "lota/twice" as twice; for i in 0..9 { try { import "lota/no_such" as x; } catch { } }"#,
    ),
];

#[test]
fn what_a_script_lets_go_of_is_no_longer_counted() {
    for (what, source) in LOOPS {
        let frontend = frontend();
        let mut held = Vec::new();
        for _ in 0..6 {
            frontend.run(source, "a_script_with_a_longer_name.rhai").expect(what);
            held.push(frontend.held());
        }
        // The first runs fill what the interpreter keeps: its interned strings, and what it imported.
        assert_eq!(held[3..], [held[3]; 3], "{what}: {held:?}");
    }
}

#[test]
fn a_prompt_holds_its_variables_and_lets_go_of_them() {
    let frontend = frontend();
    let before = frontend.held();
    frontend.eval("let list = []; list.pad(1000, 7);").expect("a list");
    let kept = frontend.held() - before;
    assert!((16_000..64_000).contains(&kept), "{kept}");
    frontend.forget(&["list".to_string()]);
    assert!(frontend.held() < before + 8_000, "{before} {}", frontend.held());
}

#[test]
fn values_of_the_host_are_not_the_script_s() {
    let frontend = frontend();
    frontend.run("fn same(x) { x } fn bad(x) { throw x }", "host.rhai").expect("functions");
    let mut held = Vec::new();
    for _ in 0..6 {
        let given: Vec<i64> = (0..500).collect();
        let back = frontend.call_function("same", vec![given.clone().into()]).expect("the list");
        let back = Vec::<i64>::from_value(back).expect("whole numbers");
        assert_eq!(back, given);
        let error = frontend.call_function("bad", vec![Value::from(given)]).expect_err("it throws");
        held.push(frontend.held());
        drop(Arc::new(error));
    }
    assert_eq!(held[2..], [held[2]; 4], "{held:?}");
}
