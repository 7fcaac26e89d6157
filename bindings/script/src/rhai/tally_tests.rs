//! The count of what a script holds comes back to where it was: nothing that crosses the border is counted on one side and
//! freed on the other.

use std::sync::Arc;

use crate::{Engine, Language};

/// Inputs that leave nothing behind, each with what crosses in it.
const LOOPS: [(&str, &str); 12] = [
    (
        "texts",
        r#"for i in 0..50 { let t = lota::zeros([3, 3]).to_string() + "a text longer than one inside"; }"#,
    ),
    ("lists", "for i in 0..50 { let t = lota::zeros([40]).totable(); }"),
    ("objects", "for i in 0..50 { let a = lota::zeros([40]); let b = a + 1.0; let c = [a, b, a]; }"),
    (
        "errors",
        r#"for i in 0..50 { try { lota::mask::union("no", i) } catch (e) { let kept = [e, e.message]; } }"#,
    ),
    (
        "assertions",
        r#"for i in 0..50 { try { assert(false, "a text longer than one inside a string") } catch (e) { } }"#,
    ),
    ("missing", "for i in 0..50 { try { lota::zeros([1]).no_such_method() } catch (e) { e.message } }"),
    (
        "callbacks",
        r#"let m = lota::model::init("tiny"); let n = 3; for i in 0..3 { lota::scores::new(m, |name, w| { n += 1; () }); }"#,
    ),
    (
        "thrown",
        r#"let m = lota::model::init("tiny");
           for i in 0..9 { try { lota::scores::new(m, |name, w| { throw #{ message: name, list: [1, 2, 3] } }) } catch (e) { e.list } }"#,
    ),
    (
        "failed callbacks",
        r#"let m = lota::model::init("tiny");
           for i in 0..9 { try { lota::scores::new(m, |name, w| w.no_such_method_at_all()) } catch (e) { e.message } }"#,
    ),
    ("printed", r#"for i in 0..50 { print(`line ${i} of a text longer than one inside`); debug(i); }"#),
    ("parsed", r#"for i in 0..50 { try { eval("let = 3") } catch { } eval("let a = [1, 2, 3]; a.len()"); }"#),
    (
        "imports",
        r#"import "lota/adapt" as adapt; for i in 0..9 { try { import "lota/no_such" as x; } catch { } }"#,
    ),
];

#[test]
fn what_a_script_lets_go_of_is_no_longer_counted() {
    for (what, source) in LOOPS {
        let engine = Engine::builder(Language::Rhai).build().expect("an engine");
        let crate::frontend::Frontend::Rhai(frontend) = engine.frontend() else { panic!("it is Rhai's") };
        let mut held = Vec::new();
        for _ in 0..6 {
            engine.run(source, "a_script_with_a_longer_name.rhai").expect(what);
            held.push(frontend.held());
        }
        // The first runs fill what the interpreter keeps: its interned strings, and what it imported.
        assert_eq!(held[3..], [held[3]; 3], "{what}: {held:?}");
    }
}

#[test]
fn a_prompt_holds_its_variables_and_lets_go_of_them() {
    let engine = Engine::builder(Language::Rhai).build().expect("an engine");
    let crate::frontend::Frontend::Rhai(frontend) = engine.frontend() else { panic!("it is Rhai's") };
    let before = frontend.held();
    engine.eval("let list = []; list.pad(1000, 7);").expect("a list");
    let kept = frontend.held() - before;
    assert!((16_000..64_000).contains(&kept), "{kept}");
    engine.forget(&["list".to_string()]);
    assert!(frontend.held() < before + 8_000, "{before} {}", frontend.held());
}

#[test]
fn values_of_the_host_are_not_the_script_s() {
    let engine = Engine::builder(Language::Rhai).build().expect("an engine");
    let crate::frontend::Frontend::Rhai(frontend) = engine.frontend() else { panic!("it is Rhai's") };
    engine.run("fn same(x) { x } fn bad(x) { throw x }", "host.rhai").expect("functions");
    let mut held = Vec::new();
    for _ in 0..6 {
        let given: Vec<i64> = (0..500).collect();
        let back: Vec<i64> = engine.call("same", (given.clone(),)).expect("the list");
        assert_eq!(back, given);
        let error = engine.call::<i64>("bad", (given,)).expect_err("it throws");
        held.push(frontend.held());
        drop(Arc::new(error));
    }
    assert_eq!(held[2..], [held[2]; 4], "{held:?}");
}
