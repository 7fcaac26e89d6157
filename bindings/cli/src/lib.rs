//! The program `lota`: what each command is called and takes. [`repl`] is its prompt.

mod bench;
mod demo;
mod doc;
mod failure;
mod health;
mod lora;
mod merge;
mod model;
mod new;
mod output;
mod progress;
pub mod repl;
mod run;
mod scripts;
mod signals;
mod ticket;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use lota::Language;
use lota::{Error, ErrorKind, Result};

use self::progress::{How, Progress};

/// A scriptable engine for sparse adaptation of language models.
#[derive(Parser)]
#[command(
    name = "lota",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command. After the file of `lota run` they are lota's too, not the script's.
#[derive(Args, Clone, Debug)]
struct Common {
    /// Where tensors live: cpu, cuda:N or metal
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Threads of CPU work; 0 takes all cores
    #[arg(long, global = true, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// What dense products multiply as: f32, or bf16, which is about twice as fast
    #[arg(long, global = true, default_value = "f32", value_name = "TYPE", value_parser = ["f32", "bf16"])]
    compute: String,
    /// No progress and no notices
    #[arg(long, global = true)]
    quiet: bool,
    /// Progress on standard error: bar, plain (a line every 30 s), plain:SECONDS or none [default: bar on a terminal,
    /// plain elsewhere]
    #[arg(long, global = true, value_name = "HOW")]
    progress: Option<How>,
    /// Take the plain reference path of every operation
    #[arg(long, global = true)]
    reference: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Train a small model in three ways and compare them (half a minute)
    Demo(demo::Demo),
    /// Run a script; `lota run FILE --help` shows the script's own options
    #[command(disable_help_flag = true, override_usage = "lota run FILE [OPTIONS OF THE SCRIPT]")]
    Run {
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
    /// Type scripts line by line
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
        command: ModelCommand,
    },
    /// Look at a ticket, make or convert one, or write a model with tickets in it
    Ticket {
        #[command(subcommand)]
        command: TicketCommand,
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

#[derive(Subcommand)]
enum ModelCommand {
    /// Show a model's shape and size
    Info {
        /// A folder, a GGUF file or a hub id; `builtin` for the built-in model
        model: String,
    },
    /// Write a model as a Hugging Face folder
    Convert {
        /// A folder, a GGUF file or a hub id; `builtin` for the built-in model
        model: String,
        /// The folder to write
        folder: PathBuf,
        /// The type of the weights: f32, bf16 or f16
        #[arg(long, default_value = "bf16")]
        dtype: String,
        /// The largest size of a file, as in 2GB
        #[arg(long, default_value = "5GB")]
        shard: String,
    },
}

#[derive(Subcommand)]
enum TicketCommand {
    /// Show what a ticket holds and where it came from
    Info {
        /// The ticket's file
        file: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write a model with tickets in it as a Hugging Face folder
    Apply(ticket::Apply),
    /// Write a ticket in another form: smaller, or for exchange
    Convert(ticket::Convert),
    /// Make a ticket of what moved most between a model and its fine-tuned version
    From(ticket::From),
}

/// Runs the program and gives its exit code.
pub fn main() -> ExitCode {
    // A panic that a file causes in its reader is told as an error about that file, and need not be told twice.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !lota::runtime::host::is_reading_foreign() {
            usual(panic);
        }
    }));
    let code = match Cli::try_parse() {
        Ok(cli) => match dispatch(cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failure::report(&error),
        },
        Err(asked) if !asked.use_stderr() => {
            output::write_out(&asked.to_string());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            output::note(&wrong.to_string());
            ExitCode::from(2)
        }
    };
    output::finish(code)
}

fn dispatch(cli: Cli) -> Result<()> {
    let common = cli.common;
    match cli.command {
        Command::Run { script } => run::script(common, script),
        Command::Demo(demo) => demo.run(common),
        Command::Scripts => {
            scripts::list();
            Ok(())
        }
        Command::New(new) => new.run(),
        Command::Eval { expression, rhai } => run::expression(common, language(rhai), &expression),
        Command::Repl { rhai } => {
            let syntax = if rhai { &crate::repl::RHAI } else { &crate::repl::LUA };
            let progress = Progress::new(common.quiet, common.progress);
            let make = run::builders(&common, language(rhai), progress.clone(), "", Vec::new(), 3)?;
            crate::repl::main(syntax, move || make().build(), || progress.clear())
        }
        Command::Doc { json: true, .. } => doc::json(),
        Command::Doc { markdown: Some(folder), .. } => doc::markdown(&folder),
        Command::Doc { search, .. } if !search.is_empty() => doc::search(&search),
        Command::Doc { name, rhai, .. } => doc::print(name.as_deref().unwrap_or_default(), language(rhai)),
        Command::Types { rhai } => {
            let registry = lota::api::standard();
            output::write_out(&match language(rhai) {
                Language::Lua => lota::api::types::luals(&registry),
                Language::Rhai => lota::api::types_rhai::definitions(&registry),
            });
            Ok(())
        }
        Command::Model { command } => match command {
            ModelCommand::Info { model } => model::info(&common, &model),
            ModelCommand::Convert { model, folder, dtype, shard } => {
                model::convert(&common, &model, &folder, &dtype, &shard)
            }
        },
        Command::Ticket { command } => match command {
            TicketCommand::Info { file, json } => ticket::info(&file, json),
            TicketCommand::Apply(apply) => apply.run(&common),
            TicketCommand::Convert(convert) => convert.run(&common),
            TicketCommand::From(from) => from.run(&common),
        },
        Command::Lora { command } => command.run(&common),
        Command::Merge(merge) => merge.run(&common),
        Command::Health => health::print(&common),
        Command::Bench { command } => bench::run(&common, &command),
    }
}

/// The language that `--rhai` asks for.
fn language(rhai: bool) -> Language {
    if rhai { Language::Rhai } else { Language::Lua }
}

/// A wrong command line.
fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, text)
}

pub(crate) use output::{note, write_out};
pub(crate) use signals::{idle, is_ending};
