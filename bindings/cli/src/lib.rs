//! The program `lota`. [`repl`] is its prompt.

mod bench;
mod cli;
mod common;
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
#[cfg(unix)]
mod sandbox;
mod scripts;
mod signals;
mod ticket;

use std::process::ExitCode;

use clap::Parser as _;

use self::cli::Cli;

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
        Ok(cli) => match cli.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failure::report(&error),
        },
        Err(asked) if !asked.use_stderr() => {
            output::write_out(&asked.to_string());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            let file = cli::file_for_a_command(&wrong);
            output::note(&file.unwrap_or_else(|| wrong.to_string()));
            ExitCode::from(2)
        }
    };
    output::finish(code)
}
