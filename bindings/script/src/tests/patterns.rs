//! The stoppable string functions against those of the interpreter.

use proptest::prelude::*;

use super::library::Script;
use crate::{Language, Value};

/// Tries one text and pattern in every way and tells all that came of it.
const TRY: &str = r#"
local function told(f, ...)
    local results = table.pack(pcall(f, ...))
    for i = 1, results.n do
        local r = results[i]
        results[i] = type(r) == "string" and r:gsub("^[^:]*:%d+: ", "") or tostring(r)
    end
    return table.concat(results, ",", 1, results.n)
end
local function all(s, p, new)
    local out = {}
    for m, n in s:gmatch(p) do
        out[#out + 1] = tostring(m) .. "/" .. tostring(n)
    end
    return table.concat(out, ";")
end
-- Any bytes, in letters.
local function safe(s)
    local out = {}
    for i = 1, #s do
        local b = s:byte(i)
        out[i] = (b == 10 or b >= 32 and b < 127) and string.char(b) or "\\" .. b
    end
    return table.concat(out)
end
return function(s, p, new, init)
    return safe(table.concat({
        told(string.find, s, p), told(string.find, s, p, init), told(string.find, s, p, init, true),
        told(string.match, s, p), told(string.match, s, p, init), told(all, s, p),
        told(string.gsub, s, p, new), told(string.gsub, s, p, new, 2),
        told(string.gsub, s, p, function(a, b) return b and b .. "+" end),
        told(string.gsub, s, p, { a = "A", ab = 1.5, b = false }),
    }, "\n"))
end
"#;

fn texts() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop::sample::select(vec!["a", "b", "(", ")", "1", " ", "]", "-", "\0", "é"]),
        0..14,
    )
    .prop_map(|parts| parts.concat())
}

fn patterns() -> impl Strategy<Value = String> {
    let parts = vec![
        "a", "b", ".", "%a", "%d", "%s", "%w", "%S", "%(", "%)", "%%", "[ab]", "[^a]", "[a-z]", "[%d%-]",
        "[]a]", "[^]]", "(", ")", "()", "(a)", "(.)", "(.-)", "*", "+", "-", "?", "^", "$", "%1", "%2",
        "%b()", "%bab", "%f[a]", "%f[%W]", "[", "%", "[a-", "[%", "é", "%z", "%b", "%f",
    ];
    proptest::collection::vec(prop::sample::select(parts), 0..7).prop_map(|parts| parts.concat())
}

fn replacements() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!["x", "%0", "%1", "%2", "%%", "%", "%z"]), 0..3)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn patterns_find_what_the_interpreters_find(
        s in texts(), p in patterns(), new in replacements(), init in -6i64..8
    ) {
        thread_local! {
            static BOTH: (Script, mlua::Lua, mlua::Function) = {
                let script = Script::new(Language::Lua);
                script.frontend.run(&format!("try = (function() {TRY} end)()"), "try").expect("loads");
                let lua = mlua::Lua::new();
                let plain = lua.load(TRY).set_name("=try").eval().expect("loads");
                (script, lua, plain)
            };
        }
        BOTH.with(|(script, _, plain)| {
            let theirs: String = plain.call((&*s, &*p, &*new, init)).expect("all is caught");
            let arguments = vec![Value::from(&*s), Value::from(&*p), Value::from(&*new), Value::Int(init)];
            let ours = match script.frontend.call_function("try", arguments).expect("all is caught") {
                Value::Str(ours) => ours,
                other => panic!("it gave {other:?}"),
            };
            prop_assert_eq!(ours, theirs, "{:?} in {:?} by {:?} from {}", p, s, new, init);
            Ok(())
        })?;
    }
}
