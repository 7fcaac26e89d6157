//! `args`: the options of a script, declared in the script.

use lota_script::{Args, Ctx, Error, ErrorKind, Map, Primitive, Registry, Result, Value, did_you_mean};

pub(super) fn register(r: &mut Registry) {
    r.add(
        Primitive::new("args", "Declares the options of this script and reads them from the command line.")
            .details(
                "Each option is `name = {default, help}`. The default gives the type: a number, a whole number, a \
                 string, a boolean (a switch: `--name`, `--no-name`), or a list of one of these (written with commas). \
                 `{type = \"number\", help = ...}` declares one without a default (`boolean`, `integer`, `number` or `string`, and \
                 `list of string` and so on), `choices = {...}` limits it, as \
                 do `least`, `most` and `above` (more than that) a number, and `required = true` demands it. On the command line `_` is written `-`: `--batch-size 8` or \
                 `--batch-size=8`. `--help` prints them all and ends the script.",
            )
            .arg("options", "map", "the options by name")
            .returns("map", "the values by name")
            .example(
                "local args = lota.args { lr = {0.1, 'learning rate'}, steps = {type = 'integer', help = 'how many', least = 1} }\n\
                 assert(args.lr == 0.1)",
            )
            .call(read),
    );
    r.add(
        Primitive::new("usage", "Ends the script with an error of its command line: no line of the script is shown.")
            .details("For an option whose value turns out to be wrong after `lota.args` has read it: a file that is not there.")
            .arg("text", "string", "what is wrong, with the name of the option")
            .returns("nil", "")
            .example(
                "local ok, why = pcall(lota.usage, '--task: there is no such file')\n\
                 assert(not ok and tostring(why) == '--task: there is no such file')",
            )
            .example_rhai(
                "let told = \"\";\ntry { lota::usage(\"--task: there is no such file\"); } catch (e) { told = `${e}`; }\n\
                 assert(told == \"--task: there is no such file\");",
            )
            .call(|_, args| -> Result<()> { Err(Error::new(ErrorKind::Usage, args.get::<String>("text")?)) }),
    );
    r.add(
        Primitive::new("script", "The script that runs: its file, its options, and the command that runs it again.")
            .details("Options that `lota` itself takes (`--compute`, `--device`, ...) are left out of both.")
            .returns(
                "map",
                "path (as it was given; empty where no file is run), args (a list of texts), command (quoted for a shell)",
            )
            .example("assert(type(lota.script().command) == 'string')")
            .call(|ctx, _| {
                Ok(Map::new()
                    .with("path", ctx.script_name.clone())
                    .with("args", ctx.script_args.clone())
                    .with("command", command(&ctx.script_name, &ctx.script_args)))
            }),
    );
}

fn command(name: &str, args: &[String]) -> String {
    if name.is_empty() {
        return String::new();
    }
    let words = ["lota", "run", name].into_iter().chain(args.iter().map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn read(ctx: &Ctx, args: &mut Args) -> Result<Map> {
    let mut declared = Vec::new();
    for (name, spec) in args.get::<Map>("options")? {
        declared.push(
            Declared::new(&name, spec).map_err(|what| args.wrong("options", format!("`{name}`: {what}")))?,
        );
    }
    let mut values = parse(&declared, &ctx.script_args).map_err(|stop| match stop {
        Stop::Help => {
            if let Err(error) = ctx.print(&help(&ctx.script_name, &header(ctx), &declared)) {
                return error;
            }
            Error::exit(0)
        }
        Stop::Wrong(what) => Error::new(ErrorKind::Usage, format!("{what} (--help lists the options)")),
    })?;
    for option in &declared {
        if values.get(&option.name).is_none() {
            if option.required {
                let what =
                    format!("--{} is required: {} (--help lists the options)", option.flag(), option.help);
                return Err(Error::new(ErrorKind::Usage, what));
            }
            values.set(option.name.clone(), option.default.clone());
        }
    }
    Ok(values)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Switch,
    Whole,
    Number,
    Text,
}

impl Kind {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(_) => Some(Self::Switch),
            Value::Int(_) => Some(Self::Whole),
            Value::Float(_) => Some(Self::Number),
            Value::Str(_) => Some(Self::Text),
            _ => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "boolean" => Some(Self::Switch),
            "integer" => Some(Self::Whole),
            "number" => Some(Self::Number),
            "string" => Some(Self::Text),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Switch => "true|false",
            Self::Whole => "integer",
            Self::Number => "number",
            Self::Text => "string",
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Switch => match text {
                "true" | "yes" | "1" => Some(Value::Bool(true)),
                "false" | "no" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Whole => text.replace('_', "").parse().ok().map(Value::Int),
            Self::Number => {
                let number: Option<f64> = text.replace('_', "").parse().ok();
                number.filter(|x| !x.is_nan()).map(Value::Float)
            }
            Self::Text => Some(Value::from(text)),
        }
    }
}

struct Declared {
    name: String,
    kind: Kind,
    list: bool,
    default: Value,
    help: String,
    choices: Vec<String>,
    range: Range,
    required: bool,
}

/// Where the numbers of an option must lie.
#[derive(Clone, Debug, Default, PartialEq)]
struct Range {
    least: Option<f64>,
    above: Option<f64>,
    most: Option<f64>,
}

impl Range {
    /// Takes it out of a declaration.
    fn take(spec: &mut Map, kind: Kind) -> Result<Self, String> {
        let mut bound = |name: &str| match spec.take(name) {
            None | Some(Value::Nil) => Ok(None),
            Some(_) if !matches!(kind, Kind::Whole | Kind::Number) => {
                Err(format!("{name} is for numbers, and this option is a {}", kind.word()))
            }
            Some(Value::Int(i)) => Ok(Some(i as f64)),
            Some(Value::Float(x)) => Ok(Some(x)),
            Some(_) => Err(format!("{name} must be a number")),
        };
        Ok(Self { least: bound("least")?, above: bound("above")?, most: bound("most")? })
    }

    fn holds(&self, value: &Value) -> bool {
        let x = match value {
            Value::Int(i) => *i as f64,
            Value::Float(x) => *x,
            _ => return true,
        };
        let bounded = *self != Self::default();
        (!bounded || x.is_finite())
            && self.least.is_none_or(|least| x >= least)
            && self.above.is_none_or(|above| x > above)
            && self.most.is_none_or(|most| x <= most)
    }

    /// `, 1 or more`, to follow what an option is.
    fn text(&self) -> String {
        let least = self.least.map(|x| format!(", {x} or more"));
        let above = self.above.map(|x| format!(" above {x}"));
        let most = self.most.map(|x| format!(", at most {x}"));
        [least, above, most].into_iter().flatten().collect()
    }
}

impl Declared {
    fn new(name: &str, spec: Value) -> Result<Self, String> {
        const FORM: &str = "must be {default, \"help\"}, or a map with default or type, help, choices, least, above, most, required";
        let mut spec = match spec {
            Value::Map(map) => map,
            Value::List(items) if (1..=2).contains(&items.len()) => {
                let mut items = items.into_iter();
                let mut map = Map::new();
                map.set("default", items.next().unwrap_or_default());
                map.set("help", items.next().unwrap_or_else(|| Value::from("")));
                map
            }
            _ => return Err(FORM.into()),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || name == "help" {
            return Err("the name of an option is made of letters, digits and _, and is not `help`".into());
        }
        // `{8, "how many", least = 1}`: positions come as names.
        for (place, name) in [("1", "default"), ("2", "help")] {
            if let Some(value) = spec.take(place) {
                spec.set(name, value);
            }
        }
        let default = spec.take("default").unwrap_or_default();
        let (kind, list) = match (&default, spec.take("type")) {
            (Value::Nil, Some(Value::Str(word))) => {
                let (of, list) = match word.strip_prefix("list of ") {
                    Some(of) => (of, true),
                    None => (word.as_str(), false),
                };
                let kind = Kind::named(of).ok_or_else(|| {
                    format!(
                        "type '{word}' is not boolean, integer, number or string, nor `list of` one of these"
                    )
                })?;
                (kind, list)
            }
            (Value::List(items), _) => {
                let kind = items.first().map_or(Some(Kind::Text), Kind::of);
                (kind.ok_or("a list may hold booleans, numbers or strings")?, true)
            }
            (value, _) => (Kind::of(value).ok_or(FORM)?, false),
        };
        let help = match spec.take("help") {
            Some(Value::Str(help)) => help,
            None => String::new(),
            Some(_) => return Err("help must be a string".into()),
        };
        let choices = match spec.take("choices") {
            None => Vec::new(),
            Some(Value::List(items)) => items.iter().map(show).collect(),
            Some(_) => return Err("choices must be a list".into()),
        };
        let range = Range::take(&mut spec, kind)?;
        let required = matches!(spec.take("required"), Some(Value::Bool(true)));
        match spec.iter().next() {
            Some((unknown, _)) => Err(format!("unknown field '{unknown}'; it {FORM}")),
            None => Ok(Self { name: name.into(), kind, list, default, help, choices, range, required }),
        }
    }

    fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    fn read(&self, text: &str) -> Result<Value, String> {
        let one = |text: &str| {
            let expected = match self.kind {
                Kind::Whole => "a whole number",
                Kind::Number => "a number",
                other => other.word(),
            };
            let value = self.kind.read(text).filter(|value| self.range.holds(value)).ok_or_else(|| {
                format!("--{} must be {expected}{}, got '{text}'", self.flag(), self.range.text())
            })?;
            if !self.choices.is_empty() && !self.choices.iter().any(|c| *c == show(&value)) {
                let hint = did_you_mean(text, self.choices.iter().map(String::as_str)).unwrap_or_default();
                return Err(format!(
                    "--{} must be one of {}, got '{text}'{hint}",
                    self.flag(),
                    self.choices.join(", ")
                ));
            }
            Ok(value)
        };
        if self.list {
            let parts = text.split(',').map(str::trim).filter(|t| !t.is_empty());
            parts.map(one).collect::<Result<Vec<_>, _>>().map(Value::List)
        } else {
            one(text)
        }
    }
}

enum Stop {
    Help,
    Wrong(String),
}

fn parse(declared: &[Declared], given: &[String]) -> Result<Map, Stop> {
    let mut values = Map::new();
    let mut words = given.iter();
    while let Some(word) = words.next() {
        if word == "--help" || word == "-h" {
            return Err(Stop::Help);
        }
        let Some(flag) = word.strip_prefix("--") else {
            return Err(Stop::Wrong(format!("unexpected argument '{word}': options begin with --")));
        };
        let (flag, inline) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (flag, None),
        };
        let name = flag.replace('-', "_");
        let find = |name: &str| declared.iter().find(|d| d.name == name);
        if let Some(option) = find(&name) {
            let value = if let Some(text) = inline {
                option.read(text).map_err(Stop::Wrong)?
            } else if option.kind == Kind::Switch && !option.list {
                Value::Bool(true)
            } else if let Some(text) = words.next() {
                option.read(text).map_err(Stop::Wrong)?
            } else {
                return Err(Stop::Wrong(format!("--{flag} needs a value ({})", option.kind.word())));
            };
            values.set(name, value);
            continue;
        }
        match name.strip_prefix("no_").and_then(find) {
            Some(option) if option.kind == Kind::Switch && inline.is_none() => {
                values.set(option.name.clone(), Value::Bool(false));
            }
            _ => {
                let flags: Vec<String> = declared.iter().map(Declared::flag).collect();
                let hint = did_you_mean(flag, flags.iter().map(String::as_str)).unwrap_or_default();
                return Err(Stop::Wrong(format!("unknown option '--{flag}'{hint}")));
            }
        }
    }
    Ok(values)
}

/// The line that a script begins with, where it is a comment: what the script does.
fn header(ctx: &Ctx) -> String {
    let source = ctx.files.grant(&ctx.script_name).and_then(|path| path.read_to_string()).ok();
    let first = source.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
    let mark = ctx.language.comment();
    first.strip_prefix(mark).unwrap_or_default().trim_start_matches(['-', '/', '!']).trim().to_string()
}

fn help(script: &str, header: &str, declared: &[Declared]) -> String {
    let name = if script.is_empty() { "SCRIPT" } else { script };
    let mut out = if header.is_empty() { String::new() } else { format!("{header}\n\n") };
    out += &format!("Usage: lota run {name} [--option value ...]\n\nOptions:\n");
    let left = |d: &Declared| match (d.kind, d.list) {
        (Kind::Switch, false) if matches!(d.default, Value::Bool(true)) => format!("--no-{}", d.flag()),
        (Kind::Switch, false) => format!("--{}", d.flag()),
        (kind, false) => format!("--{} <{}>", d.flag(), kind.word()),
        (kind, true) => format!("--{} <{},...>", d.flag(), kind.word()),
    };
    let width = declared.iter().map(|d| left(d).len()).max().unwrap_or(0);
    for option in declared {
        let mut notes = Vec::new();
        if !option.choices.is_empty() {
            notes.push(format!("one of {}", option.choices.join(", ")));
        }
        if option.required {
            notes.push("required".into());
        } else if !matches!(option.default, Value::Nil | Value::Bool(false)) {
            let default = show(&option.default);
            let is_on = matches!(option.default, Value::Bool(true));
            let default = if is_on { "on".to_string() } else { default };
            notes.push(format!("default {}", if default.is_empty() { "empty" } else { &default }));
        }
        let notes = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join("; ")) };
        out.push_str(&format!("  {:width$}  {}{notes}\n", left(option), option.help));
    }
    out.push_str(
        "\nlota's own options (--device, --threads, --compute, --quiet, --progress, --reference) go here too: `lota run --help`.\n",
    );
    out
}

fn show(value: &Value) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Str(s) => s.clone(),
        Value::List(items) => items.iter().map(show).collect::<Vec<_>>().join(","),
        other => other.type_name().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Declared> {
        let pair = |default: Value| Value::List(vec![default, Value::from("what it is")]);
        let choice = Map::new().with("default", "sgd").with("choices", vec!["sgd", "adamw"]);
        // As `{128, "how many", least = 0}` comes from Lua.
        let mixed = Map::new().with("1", 128i64).with("2", "how many").with("least", 0i64);
        let fraction = Map::new().with("default", 0.1).with("above", 0i64).with("most", 1i64);
        vec![
            Declared::new("learning_rate", pair(Value::Float(0.1))).expect("a number"),
            Declared::new("steps", pair(Value::Int(10))).expect("a whole number"),
            Declared::new("resume", pair(Value::Bool(false))).expect("a switch"),
            Declared::new("sizes", pair(Value::from(vec![1i64, 2]))).expect("a list"),
            Declared::new("optimizer", Value::Map(choice)).expect("a choice"),
            Declared::new("eval", Value::Map(mixed)).expect("a count"),
            Declared::new("density", Value::Map(fraction)).expect("a fraction"),
            Declared::new("shuffle", pair(Value::Bool(true))).expect("a switch that is on"),
            Declared::new("names", Value::Map(Map::new().with("type", "list of string"))).expect("a list"),
        ]
    }

    fn run(words: &[&str]) -> Result<String, String> {
        let given: Vec<String> = words.iter().map(ToString::to_string).collect();
        match parse(&declared(), &given) {
            Ok(map) => Ok(map.iter().map(|(k, v)| format!("{k}={}", show(v))).collect::<Vec<_>>().join(" ")),
            Err(Stop::Help) => Ok(help("dir/x.lua", "Does something.", &declared())),
            Err(Stop::Wrong(what)) => Err(what),
        }
    }

    #[test]
    fn options_are_read_by_the_type_of_their_default() {
        let words = [
            "--learning-rate",
            "1e-3",
            "--steps=1_000",
            "--resume",
            "--sizes",
            "3,4",
            "--optimizer",
            "adamw",
        ];
        assert_eq!(
            run(&words).as_deref(),
            Ok("learning_rate=0.001 steps=1000 resume=true sizes=3,4 optimizer=adamw")
        );
        assert_eq!(run(&["--names", "a,b"]).as_deref(), Ok("names=a,b"));
        assert_eq!(run(&["--no-resume"]).as_deref(), Ok("resume=false"));
        assert_eq!(run(&["--learning_rate", "-2"]).as_deref(), Ok("learning_rate=-2"));
    }

    #[test]
    fn mistakes_say_what_to_do() {
        assert_eq!(run(&["--stepz", "1"]), Err("unknown option '--stepz'; did you mean 'steps'?".into()));
        assert_eq!(run(&["--steps", "1.5"]), Err("--steps must be a whole number, got '1.5'".into()));
        for (word, value, text) in [
            ("--eval", "-1", "--eval must be a whole number, 0 or more, got '-1'"),
            ("--density", "0", "--density must be a number above 0, at most 1, got '0'"),
            ("--density", "1.5", "--density must be a number above 0, at most 1, got '1.5'"),
            ("--density", "nan", "--density must be a number above 0, at most 1, got 'nan'"),
            ("--learning-rate", "nan", "--learning-rate must be a number, got 'nan'"),
        ] {
            assert_eq!(run(&[word, value]), Err(text.into()));
        }
        assert_eq!(run(&["--eval", "0"]).as_deref(), Ok("eval=0"));
        assert_eq!(run(&["--density", "1"]).as_deref(), Ok("density=1"));
        assert_eq!(run(&["--steps"]), Err("--steps needs a value (integer)".into()));
        assert!(run(&["--optimizer", "adam"]).expect_err("no choice").contains("did you mean 'adamw'"));
        assert!(run(&["x"]).expect_err("no option").contains("begin with --"));
    }

    #[test]
    fn help_lists_every_option() {
        let text = run(&["--help"]).expect("help");
        assert!(text.starts_with("Does something.\n\nUsage: lota run dir/x.lua "), "{text}");
        assert!(
            text.contains("--sizes <integer,...>")
                && text.contains("--no-shuffle ")
                && text.contains("[one of sgd, adamw; default sgd]"),
            "{text}"
        );
    }

    #[test]
    fn a_command_is_quoted_for_a_shell() {
        let args = ["--task-a", "jsonl:my data", "--note", "it's"].map(String::from);
        assert_eq!(command("a.lua", &args), r"lota run a.lua --task-a 'jsonl:my data' --note 'it'\''s'");
        assert_eq!(command("", &args), "");
    }
}
