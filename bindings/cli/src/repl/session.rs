//! From a line to a reply.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lota::Engine;
use lota::Name;
use lota::api::{self, Value};
use lota::{Error, ErrorKind, Result};

use super::command::{self, Argument};
use super::complete::{self, Thing};
use super::figure;
use super::pretty::{Style, pretty};
use super::record::{Entry, Record, without_shebang};
use super::saved::{self, End};
use super::settings::Settings;
use super::syntax::{Kind, LUA, RHAI, Syntax, tokens};
use crate::failure::text as error_text;

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The input is not complete.
    More,
    /// It was done.
    Done,
    /// It failed, or was stopped.
    Failed,
    /// Leave.
    Quit,
}

/// What the prompt says to a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// What became of it.
    pub outcome: Outcome,
    /// The value, or what went wrong, with a line end; empty if there is nothing to say.
    pub text: String,
    /// How long it took, where that is worth telling.
    pub took: Option<Duration>,
}

impl Reply {
    fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self { outcome, text: text.into(), took: None }
    }

    fn text(text: impl Into<String>) -> Self {
        Self::new(Outcome::Done, text)
    }
}

/// What to do with the value of an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Show,
    Time,
    Plot,
}

/// What there was before an input.
struct Before {
    names: Vec<Name>,
    imports: Vec<String>,
}

/// A conversation with an engine.
pub struct Session {
    make: Box<dyn Fn() -> Result<Engine>>,
    clock: Box<dyn Fn() -> Duration>,
    pub(super) syntax: &'static Syntax,
    pub(super) engine: Engine,
    pub(super) settings: Settings,
    fixed_width: bool,
    /// The names that there were at the beginning.
    pub(super) given: HashSet<String>,
    pending: String,
    /// The lines that were given so far, where errors are to count them, and how many of them came before the input.
    lines: Option<usize>,
    before: usize,
    /// The code that a script ended the session with.
    exit: Option<i32>,
    numbers: usize,
    /// The number of the oldest value that is kept.
    oldest: usize,
    record: Record,
}

impl Session {
    /// A session in a language, with an engine that `make` makes. It is called again for a reset.
    pub fn new(syntax: &'static Syntax, make: impl Fn() -> Result<Engine> + 'static) -> Result<Self> {
        let (engine, given) = begin(syntax, &make)?;
        let start = Instant::now();
        Ok(Self {
            make: Box::new(make),
            clock: Box::new(move || start.elapsed()),
            syntax,
            engine,
            settings: Settings::default(),
            fixed_width: false,
            given,
            pending: String::new(),
            lines: None,
            before: 0,
            exit: None,
            numbers: 0,
            oldest: 1,
            record: Record::default(),
        })
    }

    /// Takes the time from another clock than the machine's.
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Tells the time of an input from this duration on, or only where it is asked for.
    pub fn with_time(mut self, least: Option<Duration>) -> Self {
        self.settings.time = least;
        self
    }

    /// Has errors count the lines of all inputs, as for the lines of a file, and not those of each input.
    pub fn with_lines_counted(mut self) -> Self {
        self.lines = Some(0);
        self
    }

    /// The code that the session is to end with, if a script said so.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The number that the next value will have.
    pub fn number(&self) -> usize {
        self.numbers + 1
    }

    /// The width of the terminal, unless a width was set by hand.
    pub fn fit(&mut self, columns: usize) {
        if !self.fixed_width {
            self.settings.width = columns.max(20);
        }
    }

    /// Whether an input is not complete.
    pub fn is_open(&self, input: &str) -> bool {
        let trimmed = input.trim_start();
        if input.ends_with("\n\n") || trimmed.starts_with('?') {
            return false;
        }
        match command::after_colon(trimmed) {
            Some(rest) => {
                let (name, code) = split(rest);
                let takes_code = command::find(name).is_some_and(|c| c.argument == Argument::Code);
                takes_code && self.engine.check(code).is_err_and(|e| e.is_incomplete())
            }
            None => self.engine.check(input).is_err_and(|e| e.is_incomplete()),
        }
    }

    /// Answers a line. An input that is not complete waits for more lines; two empty ones end it.
    pub fn line(&mut self, line: &str) -> Reply {
        if let Some(lines) = &mut self.lines {
            if self.pending.is_empty() {
                self.before = *lines;
            }
            *lines += 1;
        }
        self.pending.push_str(line);
        if self.is_open(&self.pending) {
            self.pending.push('\n');
            return Reply::new(Outcome::More, "");
        }
        self.end()
    }

    /// Answers a line that is not text. The input that it would have ended or gone on with is dropped.
    pub fn unreadable(&mut self) -> Reply {
        let place = self.lines.as_mut().map(|lines| {
            *lines += 1;
            format!("input:{}: ", *lines)
        });
        let dropped = if self.pending.is_empty() { "" } else { ", with what of its input came before" };
        self.pending.clear();
        let what = format!("{}not UTF-8 text; the line is left out{dropped}", place.unwrap_or_default());
        failed(&Error::new(ErrorKind::Syntax, what))
    }

    /// Runs the input that waits as it is.
    pub fn end(&mut self) -> Reply {
        let input = std::mem::take(&mut self.pending);
        let mut reply = self.whole(&input);
        // Code names the line by itself; what the prompt says of its own commands does not.
        if let Some(what) = reply.text.strip_prefix("error: ").filter(|_| reply.outcome == Outcome::Failed)
            && self.lines.is_some()
            && input.trim_start().starts_with([':', '?'])
            && !what.starts_with("input:")
        {
            reply.text = format!("error: input:{}: {what}", self.before + 1);
        }
        reply
    }

    /// Answers a whole input, of one line or more.
    pub fn whole(&mut self, input: &str) -> Reply {
        let trimmed = input.trim();
        if trimmed.is_empty() {
            return Reply::text("");
        }
        if let Some(name) = trimmed.strip_prefix('?') {
            return self.describe(name.trim());
        }
        if self.asks_to_leave(trimmed) {
            return Reply::new(Outcome::Quit, "");
        }
        match command::after_colon(trimmed) {
            Some(rest) => {
                let (name, rest) = split(rest);
                self.command(name, rest.trim()).unwrap_or_else(|e| failed(&e))
            }
            None => self.code(input, Use::Show),
        }
    }

    /// `exit` and `quit`, called or not, leave as in other prompts, unless the session has a variable of this name.
    fn asks_to_leave(&self, input: &str) -> bool {
        let word = input.trim_end_matches(';').trim_end();
        let word = word.strip_suffix("()").unwrap_or(word);
        matches!(word, "exit" | "quit") && self.engine.names(&[]).iter().all(|known| known.name != word)
    }

    fn command(&mut self, name: &str, rest: &str) -> Result<Reply> {
        let Some(command) = command::find(name) else { return Err(Error::argument(command::unknown(name))) };
        if command.argument == Argument::None && !rest.is_empty() && command.name != "help" {
            return Err(Error::argument(format!(":{} takes nothing after it", command.name)));
        }
        if rest.is_empty() && matches!(command.argument, Argument::Code | Argument::File) {
            return Err(Error::argument(format!("write :{} {}", command.name, command.usage)));
        }
        Ok(match command.name {
            "help" if rest.is_empty() => Reply::text(command::help(self.syntax.last)),
            "help" | "doc" => self.describe(rest),
            "who" => Reply::text(self.who()?),
            "mem" => Reply::text(self.mem()?),
            "time" => self.code(rest, Use::Time),
            "plot" => self.code(rest, Use::Plot),
            "load" => self.load(rest)?,
            "save" => Reply::text(self.save(rest)?),
            "reset" => self.reset()?,
            "set" => Reply::text(self.set(rest)?),
            "quit" => Reply::new(Outcome::Quit, ""),
            other => return Err(Error::argument(command::unknown(other))),
        })
    }

    /// Runs code.
    fn code(&mut self, input: &str, then: Use) -> Reply {
        let number = self.number();
        let names = self.syntax.result_names(number);
        let promoted = (self.syntax.promote)(input, &tokens(self.syntax, input));
        let before = Before { names: self.engine.names(&[]), imports: self.engine.imports() };
        let placed = format!("{}{promoted}", "\n".repeat(self.before));
        let (result, took) = self.timed(|s| s.engine.eval_keeping(&placed, &names));
        let mut reply = match result {
            Ok(values) => {
                let kept = values.first().is_some_and(|v| !v.is_nil());
                let silenced = self.syntax.is_silenced(input);
                let mut entry = self.entry(input, None, End::Done);
                entry.values = if self.says_nothing(input, &values) { 0 } else { values.len() };
                entry.shown = !silenced && then != Use::Plot;
                entry.plain = values.iter().any(has_no_value);
                entry.number = kept.then_some(number);
                self.record.add(entry);
                if kept {
                    self.numbers = number;
                    self.let_go();
                }
                match then {
                    Use::Plot => self.plot(&values).unwrap_or_else(|e| failed(&e)),
                    _ if silenced => Reply::text(""),
                    _ => Reply::text(self.shown(input, &values)),
                }
            }
            Err(e) => {
                if let ErrorKind::Exit(code) = e.kind() {
                    self.exit = Some(code);
                }
                self.note_failure(input, None, &e, &before);
                failed(&e)
            }
        };
        let told = then == Use::Time || self.settings.time.is_some_and(|least| took >= least);
        reply.took = told.then_some(took);
        reply
    }

    /// What is kept of a text that was run: an input, or that of a file.
    fn entry(&self, text: &str, file: Option<&str>, end: End) -> Entry {
        let (code, _) = saved::body(text, &tokens(self.syntax, text));
        let parses = |(open, close): (&str, &str)| self.engine.check(&format!("{open}{code}{close}")).is_ok();
        Entry {
            text: text.trim().to_string(),
            file: file.map(str::to_string),
            end,
            expression: parses(self.syntax.around_expression),
            statement: parses(self.syntax.around_statement),
            values: 0,
            shown: false,
            plain: false,
            number: None,
        }
    }

    /// Keeps what failed, for what it had done by then. What did not parse had done nothing.
    fn note_failure(&mut self, text: &str, file: Option<&str>, error: &Error, before: &Before) {
        let Before { names: before, imports } = before;
        let promoted = (self.syntax.promote)(text, &tokens(self.syntax, text));
        if self.engine.check(&promoted).is_err() {
            self.record.failed += 1;
            return;
        }
        let end = match error.kind() {
            ErrorKind::Cancelled | ErrorKind::Limit | ErrorKind::Exit(_) => End::Stopped,
            _ => {
                let known: Vec<String> = self.engine.names(&[]).into_iter().map(|n| n.name).collect();
                let is_new = |name: &&String| before.iter().all(|b| b.name != **name);
                let new = known.iter().filter(is_new).cloned().collect();
                let imported = self.engine.imports().into_iter().filter(|name| !imports.contains(name));
                End::Failed { known, new, imported: imported.collect() }
            }
        };
        let entry = self.entry(text, file, end);
        self.record.add(entry);
    }

    /// Does what may take long, can be stopped, and leaves the switch as it found it.
    fn timed<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> (Result<T>, Duration) {
        // A stop that came before the input was not meant for it.
        self.engine.cancel_handle().reset();
        let start = (self.clock)();
        let result = work(self);
        let took = (self.clock)().saturating_sub(start);
        self.engine.cancel_handle().reset();
        (result, took)
    }

    /// Values beyond those that are to be kept would hold their memory.
    fn let_go(&mut self) {
        while self.oldest + self.settings.results <= self.numbers {
            let [_, name] = self.syntax.result_names(self.oldest);
            self.engine.forget(&[name]);
            self.oldest += 1;
        }
    }

    pub(super) fn style(&self) -> Style<'_> {
        Style { syntax: self.syntax, settings: &self.settings, base: self.engine.ctx().index_base() }
    }

    /// Whether an input is a call that gave nothing. A variable without a value is to be told of.
    fn says_nothing(&self, input: &str, values: &[Value]) -> bool {
        let last = tokens(self.syntax, input).into_iter().rfind(|t| !t.is_comment());
        let call =
            last.is_some_and(|t| matches!(t.kind, Kind::Text(_)) || matches!(t.text(input), ")" | "}"));
        call && values.iter().all(Value::is_nil)
    }

    fn shown(&self, input: &str, values: &[Value]) -> String {
        if values.is_empty() || self.says_nothing(input, values) {
            return String::new();
        }
        let style = self.style();
        let texts: Vec<String> = values.iter().map(|v| pretty(v, &style)).collect();
        let between = if texts.iter().any(|t| t.contains('\n')) { "\n" } else { "\t" };
        texts.join(between) + "\n"
    }

    fn plot(&self, values: &[Value]) -> Result<Reply> {
        let value = values.first().unwrap_or(&Value::Nil);
        figure::draw(value, &self.style()).map(Reply::text)
    }

    fn describe(&self, name: &str) -> Reply {
        let near = match api::doc::lookup(self.engine.registry(), name, self.engine.language()) {
            Ok(text) => return Reply::text(text),
            Err(near) => near,
        };
        // What a variable holds, or a method of it.
        let page = match complete::thing(self, name, &tokens(self.syntax, name)) {
            Some(Thing::Primitive(page) | Thing::Value(page)) => {
                api::doc::lookup(self.engine.registry(), &page, self.engine.language()).ok()
            }
            _ => None,
        };
        match (page, near) {
            (Some(text), _) => Reply::text(text),
            (None, Some(near)) => {
                failed(&Error::argument(format!("nothing is called '{name}'; did you mean '{near}'?")))
            }
            (None, None) => {
                failed(&Error::argument(format!("nothing is called '{name}'; ? lists what there is")))
            }
        }
    }

    fn load(&mut self, file: &str) -> Result<Reply> {
        let path = self.engine.ctx().files.grant(file)?;
        // Under the name that it was given by.
        let bytes = std::fs::read(path.path()).map_err(|e| lota::runtime::Error::io(file, e))?;
        let source = lota::runtime::host::text_of(bytes, Path::new(file))?;
        let promoted = (self.syntax.promote)(&source, &tokens(self.syntax, &source));
        let before = Before { names: self.engine.names(&[]), imports: self.engine.imports() };
        let (result, took) = self.timed(|s| s.engine.load(&promoted, std::path::Path::new(file)));
        let text = without_shebang(&source);
        if let Err(e) = result {
            self.note_failure(text, Some(file), &e, &before);
            return Err(e);
        }
        let entry = self.entry(text, Some(file), End::Done);
        self.record.add(entry);
        let mut reply = Reply::text("");
        reply.took = self.settings.time.is_some_and(|least| took >= least).then_some(took);
        Ok(reply)
    }

    fn save(&self, file: &str) -> Result<String> {
        let path = self.engine.ctx().files.grant(file)?;
        let is_new = path.folder().is_ok_and(|folder| !folder.exists());
        let path = path.path();
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        let Syntax { language, extension, .. } = self.syntax;
        if let Some(other) = [LUA.extension, RHAI.extension].into_iter().find(|e| *e == end && e != extension)
        {
            let fits = Path::new(file).with_extension(extension);
            let text =
                format!("{file}: this session is in {language:?}, and .{other} is for another language;");
            return Err(Error::argument(format!("{text} write :save {}", fits.display())));
        }
        let begin = (self.syntax.header)("", false);
        let begin = begin.lines().next().unwrap_or_default().trim_end_matches('.').to_string();
        if path.exists() && !begins_with(path, &begin) {
            let text = format!("{file} is there already and is no saved session; choose another name");
            return Err(Error::argument(text));
        }
        let script = self.script();
        lota::runtime::host::write_atomic(path, |out| {
            std::io::Write::write_all(out, script.as_bytes()).map_err(|e| lota::runtime::Error::io(path, e))
        })?;
        let mut said = format!("{file}: {} inputs", self.record.len());
        let broken = self.record.broken().len();
        if broken > 0 {
            said += &format!(", {broken} of which failed or were stopped");
        }
        if self.record.failed > 0 {
            said += &format!("; {} that did not parse left out", self.record.failed);
        }
        if let Some(folder) = path.parent().filter(|_| is_new) {
            said += &format!("; the folder {} is new", folder.display());
        }
        Ok(said + "\n")
    }

    /// The session as a script that parses. What keeps it from parsing failed here, as an assignment to a constant of Rhai
    /// did, and is left out.
    fn script(&self) -> String {
        let broken = self.record.broken();
        let write = |failed: &[usize]| self.record.script(self.syntax, failed);
        let parses = |failed: &[usize]| self.engine.check(&write(failed)).is_ok();
        if parses(&broken) {
            return write(&broken);
        }
        let mut kept = Vec::new();
        for at in broken {
            kept.push(at);
            if !parses(&kept) {
                kept.pop();
            }
        }
        write(&kept)
    }

    fn reset(&mut self) -> Result<Reply> {
        let (engine, given) = begin(self.syntax, &self.make)?;
        (self.engine, self.given) = (engine, given);
        (self.numbers, self.oldest, self.record) = (0, 1, Record::default());
        Ok(Reply::text(""))
    }

    fn set(&mut self, rest: &str) -> Result<String> {
        if rest.is_empty() {
            return Ok(self.settings.show());
        }
        let (name, value) = split(rest);
        self.settings.set(name, value.trim().trim_start_matches('=').trim())?;
        self.fixed_width |= name == "width";
        self.let_go();
        Ok(String::new())
    }
}

/// An engine and the names in it.
fn begin(syntax: &Syntax, make: &dyn Fn() -> Result<Engine>) -> Result<(Engine, HashSet<String>)> {
    let engine = make()?;
    engine.eval(syntax.begin)?;
    let given = engine.names(&[]).into_iter().map(|n| n.name).collect();
    Ok((engine, given))
}

/// Whether a value of the script is none that a primitive takes: its text alone came across.
fn has_no_value(value: &Value) -> bool {
    matches!(value, Value::Str(text) if ["table: ", "thread: "].iter().any(|kind| text.starts_with(kind)))
}

/// The first word and what follows it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// Whether a file begins with a text. No more of it is read, since it may be anything.
fn begins_with(path: &Path, text: &str) -> bool {
    let mut start = vec![0; text.len()];
    let read = path.is_file() && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok());
    read && start == text.as_bytes()
}

fn failed(error: &Error) -> Reply {
    match error.kind() {
        ErrorKind::Exit(_) => Reply::new(Outcome::Quit, ""),
        ErrorKind::Cancelled => Reply::new(Outcome::Failed, "stopped\n"),
        _ => Reply::new(Outcome::Failed, error_text(error)),
    }
}
