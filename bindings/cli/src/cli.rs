//! The command line: what each command is called and takes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser, Subcommand};
use lota::Language;
use lota::Result;

use super::common::Common;
use super::output::write_out;
use super::progress::Progress;
use super::{bench, demo, doc, health, lora, merge, model, new, repl, run, scripts, ticket};

/// A scriptable engine for sparse adaptation of language models.
#[derive(Parser)]
#[command(
    name = "lota",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(super) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a small model in three ways and compare them (half a minute)
    Demo(demo::Demo),
    /// Run a script; `lota run FILE --help` shows the script's own options
    #[command(
        disable_help_flag = true,
        override_usage = "lota run [OPTIONS] FILE [OPTIONS OF THE SCRIPT]\n       lota run --sandbox [--root DIR] [--memory SIZE] [--time TIME] FILE [OPTIONS OF THE SCRIPT]"
    )]
    Run {
        #[cfg(unix)]
        #[command(flatten)]
        sandbox: super::sandbox::Sandbox,
        /// The script or, as lota:NAME, one that is built in; then its options
        #[arg(value_name = "FILE", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
        script: Vec<OsString>,
    },
    /// List the built-in scripts
    Scripts,
    /// Write a study to start from: a commented script and its task
    New(new::New),
    /// Run a script given on the command line and print its value
    #[command(override_usage = "lota eval [OPTIONS] -e SCRIPT")]
    Eval {
        /// The script; the last expression needs no `return`
        #[arg(short = 'e', long = "expression", value_name = "SCRIPT")]
        expression: String,
        /// The script is in Rhai, not in Lua
        #[arg(long)]
        rhai: bool,
    },
    /// Type scripts line by line; lines of a pipe are run as they come, and the exit code is 1 if one failed
    Repl {
        /// In Rhai, not in Lua
        #[arg(long)]
        rhai: bool,
    },
    /// Describe a function, an area, a type or a module; list the areas without a name
    Doc {
        /// mask.union, Mask:count, mask, Mask, adapt.lota, ...; `all` lists everything
        name: Option<String>,
        /// Look for words in names, descriptions, options and examples
        #[arg(long, value_name = "WORD", num_args = 1.., conflicts_with = "name")]
        search: Vec<String>,
        /// As Rhai writes it, not Lua
        #[arg(long)]
        rhai: bool,
        /// Print the source of a module of the standard library, to read or to start from
        #[arg(long, requires = "name", conflicts_with_all = ["search", "json", "markdown"])]
        source: bool,
        /// Print every primitive as one JSON document
        #[arg(long, conflicts_with_all = ["name", "rhai", "markdown"])]
        json: bool,
        /// Write the reference, a page for each area, to this folder
        #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "rhai"])]
        markdown: Option<PathBuf>,
    },
    /// Print definitions for editors: for the Lua language server, or in Rhai's own form
    Types {
        /// Rhai's definitions (.d.rhai)
        #[arg(long)]
        rhai: bool,
    },
    /// Look at a model, or convert it
    Model {
        #[command(subcommand)]
        command: model::Command,
    },
    /// Look at a ticket, make or convert one, or write a model with tickets in it
    Ticket {
        #[command(subcommand)]
        command: ticket::Command,
    },
    /// Look at LoRA adapters, merge them into a model, or make one
    Lora {
        #[command(subcommand)]
        command: lora::Command,
    },
    /// Merge models as a mergekit configuration says
    Merge(merge::Merge),
    /// Say what this machine offers, and check that it computes correctly
    Health,
    /// Measure a training step, generation or selection on this machine
    Bench {
        #[command(subcommand)]
        command: bench::Bench,
    },
}

impl Cli {
    /// Carries the command out.
    pub(super) fn run(self) -> Result<()> {
        let common = self.common;
        match self.command {
            Command::Run { script, .. } if asks_for_help(&script) => {
                write_out(&run_help());
                Ok(())
            }
            #[cfg(unix)]
            Command::Run { script, sandbox } => {
                sandbox.check_after(&script)?;
                if !sandbox.is_on() {
                    return run::script(common, script, Ok);
                }
                run::script(common, script, |builder| sandbox.around(builder)).map_err(|e| sandbox.advise(e))
            }
            #[cfg(not(unix))]
            Command::Run { script } => run::script(common, script, Ok),
            Command::Demo(demo) => demo.run(common),
            Command::Scripts => {
                scripts::list();
                Ok(())
            }
            Command::New(new) => new.run(),
            Command::Eval { expression, rhai } => run::expression(common, language(rhai), &expression),
            Command::Repl { rhai } => {
                let syntax = if rhai { &repl::RHAI } else { &repl::LUA };
                let progress = Progress::new(common.quiet, common.progress);
                let make = run::builders(&common, language(rhai), progress.clone(), "", Vec::new(), 3)?;
                repl::main(syntax, move || make().build(), || progress.clear())
            }
            Command::Doc { json: true, .. } => doc::json(),
            Command::Doc { markdown: Some(folder), .. } => doc::markdown(&folder),
            Command::Doc { search, .. } if !search.is_empty() => doc::search(&search),
            Command::Doc { name: Some(name), rhai, source: true, .. } => doc::source(&name, language(rhai)),
            Command::Doc { name, rhai, .. } => {
                doc::print(name.as_deref().unwrap_or_default(), language(rhai))
            }
            Command::Types { rhai } => {
                let registry = lota::api::standard();
                write_out(&match language(rhai) {
                    Language::Lua => lota::api::types::luals(&registry),
                    Language::Rhai => lota::api::types_rhai::definitions(&registry),
                });
                Ok(())
            }
            Command::Model { command } => command.run(&common),
            Command::Ticket { command } => command.run(&common),
            Command::Lora { command } => command.run(&common),
            Command::Merge(merge) => merge.run(&common),
            Command::Health => health::print(&common),
            Command::Bench { command } => bench::run(&common, &command),
        }
    }
}

/// What is told where a script stands in the place of a command.
pub(super) fn file_for_a_command(wrong: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = wrong.get(ContextKind::InvalidSubcommand) else { return None };
    let script = word.starts_with("lota:") || [".lua", ".rhai"].iter().any(|end| word.ends_with(end));
    (script || std::path::Path::new(word).is_file())
        .then(|| format!("error: '{word}' is no command; did you mean `lota run {word}`?\n"))
}

/// The language that `--rhai` asks for.
fn language(rhai: bool) -> Language {
    if rhai { Language::Rhai } else { Language::Lua }
}

/// Whether `lota run` is asked what it takes; after a file, the question is for the script.
fn asks_for_help(script: &[OsString]) -> bool {
    script.first().is_some_and(|word| word == "--help" || word == "-h")
}

fn run_help() -> String {
    let mut command = Cli::command();
    command.build();
    command.find_subcommand_mut("run").map(|run| run.render_long_help().to_string()).unwrap_or_default()
}
