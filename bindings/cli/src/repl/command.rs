//! The commands of the prompt: their names, what follows them, and a line about each.

use lota::api::nearest;

/// What follows the name of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// Code of the language.
    Code,
    /// The name of something that has a page.
    Page,
    /// A file.
    File,
    /// A setting and its value.
    Setting,
}

/// A command.
pub struct Command {
    /// Its name, without the colon.
    pub name: &'static str,
    /// What follows it, as help writes it.
    pub usage: &'static str,
    /// What follows it.
    pub argument: Argument,
    /// One line.
    pub doc: &'static str,
}

const fn command(name: &'static str, usage: &'static str, argument: Argument, doc: &'static str) -> Command {
    Command { name, usage, argument, doc }
}

/// All of them, in the order of help.
pub const COMMANDS: [Command; 11] = [
    command("help", "", Argument::None, "this text"),
    command(
        "doc",
        "NAME",
        Argument::Page,
        "describe a primitive, an area, a type or a module, as ?NAME does",
    ),
    command("who", "", Argument::None, "the variables: type and value"),
    command("mem", "", Argument::None, "the tensor memory in use, and which variables hold it"),
    command("time", "CODE", Argument::Code, "run code and tell how long it took"),
    command("plot", "CODE", Argument::Code, "draw a list of numbers, a tensor, a table of figures or a mask"),
    command("load", "FILE", Argument::File, "run a script here: its outermost variables stay"),
    command("save", "FILE", Argument::File, "write what succeeded so far as a script"),
    command("reset", "", Argument::None, "forget every variable, and begin anew"),
    command("set", "NAME VALUE", Argument::Setting, "change a setting; :set alone lists them"),
    command("quit", "", Argument::None, "leave, as Ctrl-D does"),
];

/// What follows the colon, if a line is a command. `::label::` is Lua.
pub fn after_colon(line: &str) -> Option<&str> {
    line.strip_prefix(':').filter(|rest| !rest.starts_with(':'))
}

/// The command of a name, or the only one that begins so.
pub fn find(name: &str) -> Option<&'static Command> {
    let exact = COMMANDS.iter().find(|c| c.name == name);
    let mut begun = COMMANDS.iter().filter(|c| !name.is_empty() && c.name.starts_with(name));
    exact.or_else(|| begun.next().filter(|_| begun.next().is_none()))
}

/// The message about a name that no command has.
pub fn unknown(name: &str) -> String {
    let near = nearest(name, COMMANDS.iter().map(|c| c.name));
    let hint = near.map_or_else(|| ":help lists them".to_string(), |near| format!("did you mean ':{near}'?"));
    format!("there is no command ':{name}'; {hint}")
}

/// The text of `:help`.
pub fn help(last: (&str, &str)) -> String {
    let mut out = String::from(
        "An expression is evaluated and its value shown, a statement is run. An open input goes on in the next line; \
         two empty\nlines end it. A semicolon at the end keeps a value from being shown.\n",
    );
    for c in COMMANDS {
        out += &format!("  :{:<16} {}\n", format!("{} {}", c.name, c.usage), c.doc);
    }
    out += &format!(
        "  ?NAME             describe; ? alone lists the areas, ?all everything. help(VALUE) describes a value\n\
         {}, {}1, {}2: the last value, the first, the second. Ctrl-C stops what runs and keeps every variable.\n",
        last.0, last.1, last.1
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_a_beginning_that_is_its_own() {
        assert_eq!(find("q").map(|c| c.name), Some("quit"));
        assert_eq!(find("s").map(|c| c.name), None);
        assert_eq!(find("save").map(|c| c.name), Some("save"));
        assert!(find("").is_none() && after_colon("::again::").is_none());
        assert_eq!(unknown("hlep"), "there is no command ':hlep'; did you mean ':help'?");
    }
}
