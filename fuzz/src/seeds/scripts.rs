//! Scripts, and merges.

use std::collections::BTreeSet;

use lota::Language;
use lota::api::{examples, standard};

use crate::{Seed, fixture};

/// The longest example that becomes a seed.
const LONGEST: usize = 700;

pub fn seeds() -> Vec<Seed> {
    let mut all: Vec<Seed> = Vec::new();
    let mut areas = BTreeSet::new();
    // One primitive of each area and object, in both languages.
    for primitive in standard().iter() {
        let place = primitive.owner().or(primitive.area()).unwrap_or("lota").to_string();
        let lua = primitive.example_source();
        if lua.is_empty() || lua.len() > LONGEST || !areas.insert(place) {
            continue;
        }
        let name = primitive.name().replace([':', '.'], "-");
        let source = format!("local lota = require 'lota'\n{lua}");
        all.push(("lua", name.clone(), source.into_bytes()));
        if let Some(rhai) = examples::rhai(primitive) {
            all.push(("rhai", name, rhai.into_bytes()));
        }
    }
    for (target, names) in [("lua", LUA), ("rhai", RHAI)] {
        for name in names {
            let bytes = fixture(&format!("tests/sandbox/{name}.{target}"));
            all.push((target, format!("sandbox-{name}"), bytes));
        }
    }
    all.push(("lua", "language".to_string(), LUA_LANGUAGE.as_bytes().to_vec()));
    all.push(("rhai", "language".to_string(), RHAI_LANGUAGE.as_bytes().to_vec()));
    for (name, text) in MERGES {
        all.push(("merge", (*name).to_string(), text.as_bytes().to_vec()));
    }
    all
}

const LUA: &[&str] =
    &["coroutine_across_primitive", "pattern_set", "table_sort", "guard_replaced", "endless_pcall"];
const RHAI: &[&str] = &["memory_map", "endless_catch", "recursion_through_primitives", "memory_pad"];

const LUA_LANGUAGE: &str = "local t = setmetatable({}, {__index = function(_, k) return k .. 1 end, __call = print})\n\
    local co = coroutine.wrap(function(...) for i, v in ipairs({...}) do coroutine.yield(v // 2, v << i) end end)\n\
    print(t.x, co(7, 8), ('%5.2f|%q'):format(1.5, 'a\\n'), ('a,b'):gsub('%w', {a = 1}), select('#', nil, nil))\n\
    goto done\n::done:: return pcall(string.rep, 'x', -1), table.concat({1, 2}, ','), #t, utf8.char(233), math.type(1)\n";

const RHAI_LANGUAGE: &str = "fn f(x) { if x > 2 { throw #{ code: x } } x * 2 }\n\
    let a = [1, 2.5, \"x\", 'c', true, ()]; let m = #{ a: a, \"b c\": |x| f(x) };\n\
    for (v, i) in a { switch v { 1 => print(`one ${i}`), _ => continue } }\n\
    try { m.a[0] += f(3); } catch (e) { print(e) }\n\
    let s = \"a,b\".split(\",\").map(|p| p.to_upper()); while s.len() > 1 { s.pop(); } s.filter(|p| p != \"\")\n";

const MERGES: &[(&str, &str)] = &[
    (
        "linear",
        "merge_method: linear\nmodels:\n  - model: a\n    parameters: {weight: 0.75}\n  - model: b\n    parameters: \
         {weight: 0.25}\ndtype: float32\nout_dtype: bfloat16\n",
    ),
    (
        "ties",
        "merge_method: ties\nbase_model: a\nmodels:\n  - model: b\n    parameters: {weight: 0.5, density: [0.3, 0.7]}\n  \
         - model: t.ticket\n    parameters:\n      weight: [{filter: mlp, value: 0.4}, {value: 0.6}]\nparameters: \
         {normalize: true}\ntokenizer: {source: base}\nchat_template: auto\n",
    ),
    (
        "slices",
        "merge_method: slerp\nbase_model: a\nslices:\n- sources:\n  - {model: a, layer_range: [0, 1]}\n  - {model: b, \
         layer_range: [0, 1]}\n  parameters: &p\n    t: [{filter: self_attn, value: [0, 0.5, 1]}, {value: 0.5}]\nparameters: *p\n",
    ),
    (
        "documents",
        "name: first\nmerge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n---\nmerge_method: dare_ties\n\
         base_model: first\nmodels: [{model: b, parameters: {weight: 1.0, density: 0.5}}]\n",
    ),
    ("json", "{\"merge_method\": \"passthrough\", \"models\": [{\"model\": \"a\"}], \"dtype\": \"float16\"}"),
];

/// The words of each language, and the names of all primitives.
pub fn dictionaries() -> Vec<(&'static str, String)> {
    let of = |language: Language, keywords: &[&str]| {
        let registry = standard();
        let names = registry.iter().map(|primitive| match primitive.owner() {
            Some(_) => {
                format!("{}{}(", if language == Language::Lua { ":" } else { "." }, primitive.short_name())
            }
            None => primitive.name_in(language),
        });
        let mut words: BTreeSet<String> = names.collect();
        words.extend(keywords.iter().map(|word| (*word).to_string()));
        let quoted = |word: String| format!("\"{}\"\n", word.replace('\\', "\\\\").replace('"', "\\\""));
        words.into_iter().map(quoted).collect::<String>()
    };
    vec![("lua.dict", of(Language::Lua, LUA_WORDS)), ("rhai.dict", of(Language::Rhai, RHAI_WORDS))]
}

const LUA_WORDS: &[&str] = &[
    "local ",
    "function ",
    "return ",
    "end",
    "if ",
    "then ",
    "else ",
    "elseif ",
    "for ",
    "in ",
    "do ",
    "while ",
    "repeat ",
    "until ",
    "goto ",
    "break",
    "nil",
    "true",
    "false",
    "and ",
    "or ",
    "not ",
    "...",
    "..",
    "::",
    "//",
    "<<",
    ">>",
    "~=",
    "<close>",
    "<const>",
    "[[",
    "]]",
    "--[[",
    "require 'lota'",
    "pairs(",
    "ipairs(",
    "pcall(",
    "error(",
    "select('#',",
    "setmetatable(",
    "__index",
    "__newindex",
    "__call",
    "__gc",
    "__close",
    "__tostring",
    "__pairs",
    "__len",
    "__concat",
    "coroutine.wrap(",
    "coroutine.yield(",
    "string.rep(",
    ":gsub(",
    ":gmatch(",
    ":find(",
    ":format(",
    ":rep(",
    "%f[%w]",
    "%b()",
    "table.concat(",
    "table.insert(",
    "table.sort(",
    "table.unpack(",
    "table.move(",
    "load(",
    "string.pack(",
    "math.huge",
    "math.maxinteger",
    "utf8.char(",
    "tostring(",
    "0x7fffffffffffffff",
    "1e308",
];

const RHAI_WORDS: &[&str] = &[
    "let ",
    "const ",
    "fn ",
    "return ",
    "if ",
    "else ",
    "for ",
    "in ",
    "while ",
    "loop ",
    "do ",
    "until ",
    "switch ",
    "throw ",
    "try ",
    "catch ",
    "import ",
    "export ",
    "as ",
    "global",
    "break",
    "continue",
    "true",
    "false",
    "this",
    "#{",
    "=> ",
    "|x|",
    "..=",
    "??",
    "?.",
    "?[",
    "`${",
    "eval(",
    "call(",
    "curry(",
    "Fn(",
    ".map(",
    ".filter(",
    ".reduce(",
    ".sort(",
    ".pad(",
    ".split(",
    ".replace(",
    ".keys()",
    ".len()",
    ".push(",
    ".insert(",
    ".extract(",
    ".splice(",
    ".drain(",
    "blob(",
    "range(",
    "to_string()",
    "to_json()",
    "parse_json(",
    "parse_int(",
    "type_of(",
    "is_def_fn(",
    "0x7fffffffffffffff",
    "1e308",
    "**",
    "sleep(",
    "debug(",
    "timestamp()",
    ".elapsed",
    "lota::",
];
